// Applies an update rule to recorded gradients, for bench/optimizers_torch.py to compare with
// PyTorch's.
//
// usage: optimizer_steps SIZE RULE [FIELD=VALUE ...] < WEIGHTS_AND_GRADIENTS > NEW_WEIGHTS
// Input: SIZE float32 weights, then SIZE gradients for every step. RULE and FIELD as in
// <ps/optimizers.h>: sgd, adam, adamw, adagrad, rmsprop, lars, lamb, ftrl.
#include <cstdlib>
#include <iostream>
#include <map>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <ps/optimizers.h>

#include "optim/optimizer.h"

namespace {

// The alternative of that name, with its defaults.
template <std::size_t I = 0>
ps::Optimizer rule_named(std::string_view name) {
  if constexpr (I == std::variant_size_v<ps::Optimizer>) {
    throw std::invalid_argument("no rule is called " + std::string(name));
  } else {
    const ps::Optimizer rule(std::in_place_index<I>);
    return name == ps::optimizer_name(rule) ? rule : rule_named<I + 1>(name);
  }
}

template <class Rule>
std::map<std::string_view, float*> fields_of(Rule& rule) {
  std::map<std::string_view, float*> fields;
  if constexpr (requires { rule.lr; }) fields["lr"] = &rule.lr;
  if constexpr (requires { rule.momentum; }) fields["momentum"] = &rule.momentum;
  if constexpr (requires { rule.weight_decay; }) fields["weight_decay"] = &rule.weight_decay;
  if constexpr (requires { rule.beta1; }) fields["beta1"] = &rule.beta1;
  if constexpr (requires { rule.beta2; }) fields["beta2"] = &rule.beta2;
  if constexpr (requires { rule.epsilon; }) fields["epsilon"] = &rule.epsilon;
  if constexpr (requires { rule.alpha; }) fields["alpha"] = &rule.alpha;
  if constexpr (requires { rule.eta; }) fields["eta"] = &rule.eta;
  if constexpr (requires { rule.beta; }) fields["beta"] = &rule.beta;
  if constexpr (requires { rule.l1; }) fields["l1"] = &rule.l1;
  if constexpr (requires { rule.l2; }) fields["l2"] = &rule.l2;
  return fields;
}

template <class Rule>
void set(Rule& rule, std::string_view field, float value) {
  if constexpr (requires { rule.nesterov; }) {
    if (field == "nesterov") {
      rule.nesterov = value != 0;
      return;
    }
  }
  const auto fields = fields_of(rule);
  const auto found = fields.find(field);
  if (found == fields.end()) {
    throw std::invalid_argument("the rule has no field " + std::string(field));
  }
  *found->second = value;
}

// The next values of the input; false at its end.
bool read(std::vector<float>& values) {
  return static_cast<bool>(
      std::cin.read(reinterpret_cast<char*>(values.data()),
                    static_cast<std::streamsize>(values.size() * sizeof(float))));
}

void run(std::span<char*> arguments) {
  if (arguments.size() < 2) throw std::invalid_argument("a size and a rule are needed");
  ps::ModelOptions options;
  options.optimizer = rule_named(arguments[1]);
  for (const std::string_view argument : arguments.subspan(2)) {
    const std::size_t equals = argument.find('=');
    if (equals == argument.npos) throw std::invalid_argument("FIELD=VALUE is wanted");
    const float value = std::stof(std::string(argument.substr(equals + 1)));
    std::visit([&](auto& rule) { set(rule, argument.substr(0, equals), value); },
               options.optimizer);
  }
  const ps::optim::Optimizer optimizer(options, 1);
  ps::optim::Optimizer::Step step{.single = true};
  std::visit(
      [&step](const auto& rule) {
        if constexpr (requires { rule.weight_decay; }) step.weight_decay = rule.weight_decay;
      },
      options.optimizer);

  std::vector<float> weights(std::stoul(arguments[0]));
  std::vector<float> gradient(weights.size());
  ps::optim::Optimizer::ChunkState state = optimizer.make_state(weights.size());
  if (!read(weights)) throw std::invalid_argument("the input is shorter than the weights");
  while (read(gradient)) {
    const ps::optim::Contribution pushed{.weight = 1.0, .values = gradient};
    optimizer.apply(step,
                    {.old_weights = weights, .new_weights = weights, .contributions = {&pushed, 1}},
                    state);
  }
  std::cout.write(reinterpret_cast<const char*>(weights.data()),
                  static_cast<std::streamsize>(weights.size() * sizeof(float)));
}

}  // namespace

int main(int argc, char** argv) {
  try {
    run(std::span(argv, static_cast<std::size_t>(argc)).subspan(1));
  } catch (const std::exception& error) {
    std::cerr << "optimizer_steps: " << error.what() << "\n";
    return EXIT_FAILURE;
  }
  return EXIT_SUCCESS;
}
