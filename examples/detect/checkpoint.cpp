#include "checkpoint.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <utility>
#include <variant>
#include <vector>

#include <ps/safetensors.h>

#include "gather.h"

namespace detect {
namespace {

std::string weights_folder(const Setup& setup) {
  return setup.folder + "/weights";
}

std::string exactly(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.17g", value);
  return text.data();
}

}  // namespace

Values values_of(const ps::Model& model) {
  Values values;
  for (const ps::Parameter& parameter : model.parameters()) {
    const std::span<const float> weights = parameter.weights();
    values.emplace_back(weights.begin(), weights.end());
  }
  return values;
}

std::map<std::string, std::string> run_metadata(const Setup& setup,
                                                const ps::Session& session,
                                                std::uint32_t epoch) {
  return {{"epoch", std::to_string(epoch)},
          {"best_fitness", exactly(setup.progress.best_fitness)},
          {"best_epoch", std::to_string(setup.progress.best_epoch)},
          {"seed", std::to_string(session.seed())},
          {"data", setup.options.data}};
}

void save_checkpoint(ps::Session& session,
                     ps::Model& model,
                     const Setup& setup,
                     std::uint32_t epoch) {
  session.barrier();  // nobody changes the weights meanwhile
  const bool averages = std::holds_alternative<ps::LocalSgd>(model.options().mode);
  if (session.rank() != 0 && !averages) return;
  ps::SafetensorsFile state = model.checkpoint();
  if (session.rank() != 0) return;
  state.metadata.merge(describe(setup.spec));
  state.metadata.merge(run_metadata(setup, session, epoch));
  state.metadata["arguments"] = arguments_of_run(setup.options);
  const std::string folder = weights_folder(setup);
  state.save(folder + "/last.safetensors");
  const std::int32_t period = setup.options.save_period;
  if (period > 0 && (epoch + 1) % static_cast<std::uint32_t>(period) == 0) {
    state.save(folder + "/epoch" + std::to_string(epoch + 1) + ".safetensors");
  }
}

void finish_checkpoints(const Setup& setup,
                        Network& network,
                        const Values& best,
                        const std::map<std::string, std::string>& metadata) {
  const std::string folder = weights_folder(setup);
  save_weights(folder + "/last.safetensors", network, best, metadata);
  if (setup.options.save) save_weights(folder + "/best.safetensors", network, best, metadata);
}

Values best_of_earlier(ps::Session& session, const Setup& setup, Network& network) {
  std::vector<double> flat;
  const std::string path = setup.folder + "/weights/best.safetensors";
  if (session.rank() == 0 && std::filesystem::exists(path)) {
    std::size_t taken = 0;
    for (const std::vector<float>& each : transfer(ps::load_safetensors(path), network, 0, taken)) {
      flat.insert(flat.end(), each.begin(), each.end());
    }
  }
  flat = gather(session, flat);
  Values values;
  if (flat.empty()) return values;
  auto next = flat.begin();
  for (const ps::nn::Parameter& parameter : network.detector().graph().parameters()) {
    std::vector<float>& each = values.emplace_back(static_cast<std::size_t>(parameter.size()));
    std::transform(next, next + parameter.size(), each.begin(),
                   [](double value) { return static_cast<float>(value); });
    next += parameter.size();
  }
  return values;
}

}  // namespace detect
