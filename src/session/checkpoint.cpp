#include "session/checkpoint.h"

#include <algorithm>
#include <charconv>
#include <memory>
#include <set>
#include <string_view>
#include <xxhash.h>

#include <ps/error.h>

#include "base/assert.h"
#include "cluster/placement.h"
#include "kernels/finite.h"
#include "optim/modes.h"

namespace ps::session {
namespace {

using worker::Snapshot;

constexpr const char* kFormat = "ps.checkpoint";
constexpr const char* kMode = "ps.mode";
constexpr const char* kOptimizer = "ps.optimizer";
constexpr const char* kSamples = "ps.samples";
constexpr const char* kVersion = "ps.version";
constexpr const char* kCounts = "ps.counts.";
constexpr const char* kFormatVersion = "1";
constexpr std::uint64_t kMaxCount = std::uint64_t{1} << 62;

[[noreturn]] void mismatch(const std::string& text) {
  throw Error(ErrorCode::kMismatch, "the checkpoint " + text);
}

[[noreturn]] void corrupt(const std::string& key, const std::string& value) {
  throw Error(ErrorCode::kCorrupt, "the checkpoint's metadata '" + key + "' is '" +
                                       value.substr(0, 60) +
                                       "', not what Model::checkpoint() writes there");
}

std::string suffix_of(wire::Part part) {
  if (part == wire::Part::kWeights) return {};
  if (part == wire::Part::kAverage) return "#average";
  if (part == wire::Part::kMeanSquare) return "#mean_square";
  const auto first = static_cast<unsigned>(wire::Part::kState);
  return "#state" + std::to_string(static_cast<unsigned>(part) - first);
}

std::string optimizer_of(const ModelOptions& options) {
  const auto* custom = std::get_if<CustomRule>(&options.optimizer);
  return custom != nullptr ? "custom " + custom->name : optimizer_name(options.optimizer);
}

// What a run in this mode goes on with, of a parameter of that kind.
std::vector<wire::Part> parts_to_start(const ModelOptions& options, ParameterKind kind) {
  const auto* local = std::get_if<LocalSgd>(&options.mode);
  const bool own_memory =
      options.update != Update::kServer || (local != nullptr && local->average_state);
  if (own_memory && kind == ParameterKind::kTrained) {
    ModelOptions as_on_servers = options;
    as_on_servers.mode = Sync{};
    as_on_servers.update = Update::kServer;
    return worker::parts_on_servers(as_on_servers, kind);
  }
  if (local != nullptr) return {wire::Part::kWeights};
  return worker::parts_on_servers(options, kind);
}

// --- counts --------------------------------------------------------------------------------------

std::uint64_t parse_count(const std::string& key, const std::string& all, std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value > kMaxCount)
    corrupt(key, all);
  return value;
}

std::uint64_t count_at(const SafetensorsFile& file, const std::string& key) {
  const auto found = file.metadata.find(key);
  if (found == file.metadata.end()) corrupt(key, "");
  return parse_count(key, found->second, found->second);
}

// "offset:version:updates", for each offset from which on they are others than before it.
std::string text_of(const std::vector<Snapshot::Counts>& counts) {
  std::string text;
  const Snapshot::Counts* last = nullptr;
  for (const Snapshot::Counts& one : counts) {
    if (last != nullptr && last->version == one.version && last->updates == one.updates) continue;
    last = &one;
    text += (text.empty() ? "" : " ") + std::to_string(one.offset) + ':' +
            std::to_string(one.version) + ':' + std::to_string(one.updates);
  }
  return text;
}

std::vector<Snapshot::Counts> parse_counts(const SafetensorsFile& file,
                                           const std::string& name,
                                           std::uint64_t elements) {
  const std::string key = kCounts + name;
  const auto found = file.metadata.find(key);
  if (found == file.metadata.end()) corrupt(key, "");
  std::vector<Snapshot::Counts> counts;
  const std::string_view all = found->second;
  for (std::size_t at = 0; at <= all.size();) {
    const std::string_view run = all.substr(at, all.find(' ', at) - at);
    at += run.size() + 1;
    const std::size_t first = run.find(':');
    const std::size_t second = first == run.npos ? first : run.find(':', first + 1);
    if (second == run.npos) corrupt(key, found->second);
    const auto number = [&](std::string_view text) {
      return parse_count(key, found->second, text);
    };
    counts.push_back({.offset = number(run.substr(0, first)),
                      .version = number(run.substr(first + 1, second - first - 1)),
                      .updates = number(run.substr(second + 1))});
    const bool rises = counts.size() == 1 ? counts[0].offset == 0
                                          : counts.back().offset > counts[counts.size() - 2].offset;
    if (!rises || counts.back().offset >= elements) corrupt(key, found->second);
  }
  return counts;
}

// --- tensors -------------------------------------------------------------------------------------

Memory load_part(const SafetensorsFile& file,
                 const wire::ParameterInfo& parameter,
                 wire::Part part) {
  const std::string name = parameter.name + suffix_of(part);
  const SafetensorsFile::Tensor* tensor = file.find(name);
  const std::uint64_t elements = cluster::elements(parameter);
  if (tensor == nullptr) {
    mismatch("has no tensor '" + name +
             "', which this model goes on with: restore it into a model "
             "with the parameters, the optimizer, the moving average (ema) and the mode that it "
             "was made with, or start anew from its weights");
  }
  if (tensor->shape != parameter.shape || tensor->values.size() != elements) {
    const auto text = [](const std::vector<std::int64_t>& shape) {
      std::string list;
      for (const std::int64_t size : shape)
        list += (list.empty() ? "" : ", ") + std::to_string(size);
      return '[' + list + ']';
    };
    mismatch("has tensor '" + name + "' of shape " + text(tensor->shape) + ", the model has " +
             text(parameter.shape) + ": restore it into a model of the shapes it was made with");
  }
  const bool must_be_finite = part == wire::Part::kWeights || part == wire::Part::kAverage;
  if (must_be_finite && !kernels::all_finite(tensor->values)) {
    throw Error(ErrorCode::kCorrupt,
                "the checkpoint's tensor '" + name + "' holds NaN or infinity: take an older one");
  }
  const Memory memory = Memory::allocate(elements * sizeof(float));
  std::ranges::copy(tensor->values, memory.as<float>().begin());
  return memory;
}

// A tensor that belongs to no parameter was part of another model.
void check_known(const SafetensorsFile& file, const std::vector<wire::ParameterInfo>& table) {
  std::set<std::string_view> names;
  for (const auto& parameter : table) names.insert(parameter.name);
  for (const auto& tensor : file.tensors) {
    const std::string_view name = tensor.name;
    const std::size_t mark = name.rfind('#');
    if (names.contains(name) || (mark != name.npos && names.contains(name.substr(0, mark))))
      continue;
    mismatch("has tensor '" + tensor.name +
             "', which this model has not: restore it into a model "
             "with the parameters it was made with");
  }
}

void check_origin(const SafetensorsFile& file, const ModelOptions& options) {
  const auto format = file.metadata.find(kFormat);
  if (format == file.metadata.end()) {
    mismatch(std::string("has no '") + kFormat +
             "' in its metadata: only what Model::checkpoint() "
             "made can be gone on with; give other weights to add() as initial values");
  }
  if (format->second != kFormatVersion) {
    mismatch("is of format " + format->second.substr(0, 20) + ", this version of ps reads " +
             kFormatVersion);
  }
  const auto optimizer = file.metadata.find(kOptimizer);
  const std::string expected = optimizer_of(options);
  if (optimizer == file.metadata.end() || optimizer->second != expected) {
    const std::string was =
        optimizer == file.metadata.end() ? "nothing" : optimizer->second.substr(0, 60);
    mismatch("was made with optimizer " + was + ", the model has " + expected +
             ": choose the same, or start anew from its weights");
  }
}

}  // namespace

SafetensorsFile to_file(const Snapshot& snapshot,
                        const std::vector<wire::ParameterInfo>& table,
                        const ModelOptions& options) {
  PS_ASSERT(snapshot.parameters.size() == table.size(), "a snapshot of this table");
  SafetensorsFile file;
  std::uint64_t version = table.empty() ? 0 : kMaxCount;
  for (std::size_t i = 0; i < table.size(); ++i) {
    const Snapshot::Parameter& parameter = snapshot.parameters[i];
    for (const auto& [part, values] : parameter.parts) {
      const auto floats = values.as<const float>();
      file.tensors.push_back({.name = table[i].name + suffix_of(part),
                              .shape = table[i].shape,
                              .values = {floats.begin(), floats.end()}});
    }
    file.metadata[kCounts + table[i].name] = text_of(parameter.counts);
    for (const Snapshot::Counts& one : parameter.counts) version = std::min(version, one.version);
  }
  std::ranges::sort(file.tensors, {}, &SafetensorsFile::Tensor::name);
  const auto twice = std::ranges::adjacent_find(file.tensors, {}, &SafetensorsFile::Tensor::name);
  if (twice != file.tensors.end()) {
    throw Error(ErrorCode::kInvalidArgument,
                "checkpoint(): parameter '" + twice->name +
                    "' has the name of what is kept of another one: call it otherwise");
  }
  file.metadata[kFormat] = kFormatVersion;
  file.metadata[kMode] = mode_name(options.mode);
  file.metadata[kOptimizer] = optimizer_of(options);
  file.metadata[kSamples] = std::to_string(snapshot.samples);
  file.metadata[kVersion] = std::to_string(version);
  return file;
}

Snapshot from_file(const SafetensorsFile& file,
                   const std::vector<wire::ParameterInfo>& table,
                   const ModelOptions& options) {
  check_origin(file, options);
  check_known(file, table);
  Snapshot snapshot;
  snapshot.samples = count_at(file, kSamples);
  const std::uint64_t version = count_at(file, kVersion);
  for (const wire::ParameterInfo& parameter : table) {
    Snapshot::Parameter loaded;
    std::vector<wire::Part> parts = parts_to_start(options, parameter.kind);
    std::ranges::sort(parts);  // a wrong model is told by its weights
    for (const wire::Part part : parts)
      loaded.parts.emplace(part, load_part(file, parameter, part));
    loaded.counts = parse_counts(file, parameter.name, cluster::elements(parameter));
    // Rounds are of the whole model.
    if (optim::has_rounds(options.mode)) {
      for (Snapshot::Counts& one : loaded.counts) one.version = version;
    }
    snapshot.parameters.push_back(std::move(loaded));
  }
  return snapshot;
}

std::uint64_t hash_of(const SafetensorsFile& file) {
  const std::unique_ptr<XXH64_state_t, XXH_errorcode (*)(XXH64_state_t*)> state(XXH64_createState(),
                                                                                XXH64_freeState);
  XXH64_reset(state.get(), 0);
  const auto add = [&](const auto& values) {
    const std::uint64_t size = values.size();
    XXH64_update(state.get(), &size, sizeof(size));
    if (size > 0) XXH64_update(state.get(), values.data(), size * sizeof(*values.data()));
  };
  for (const auto& tensor : file.tensors) {
    add(tensor.name);
    add(tensor.values);
  }
  for (const auto& [key, value] : file.metadata) {
    add(key);
    add(value);
  }
  return std::max<std::uint64_t>(XXH64_digest(state.get()), 1);
}

Snapshot counts_only(const Snapshot& snapshot, std::size_t parameters) {
  Snapshot counts;
  counts.samples = snapshot.samples;
  counts.parameters.resize(parameters);
  for (std::size_t i = 0; i < parameters; ++i) {
    // What travels beside the parameters themselves is as old as they are.
    const std::size_t of = std::min(i, snapshot.parameters.size() - 1);
    counts.parameters[i].counts = i == of ? snapshot.parameters[i].counts
                                          : std::vector{snapshot.parameters[of].counts.front()};
    for (Snapshot::Counts& one : counts.parameters[i].counts) one.updates = 0;
  }
  return counts;
}

}  // namespace ps::session
