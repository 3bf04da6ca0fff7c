// How a model's mode looks from its two ends: which modes go in rounds, in which of them workers
// keep weights of their own, and what the servers then do with what is pushed. Pure.
#pragma once

#include <cstdint>

#include <ps/options.h>

namespace ps::optim {

// Do the servers wait for every worker's part of a round?
bool has_rounds(const Consistency& mode) noexcept;

// Does every worker apply the optimizer to weights of its own?
bool updates_on_workers(const ModelOptions& options) noexcept;

// What the servers are to take a parameter for that the program calls `kind`. Where the workers
// update, what travels of a trained one are values or gradients to average (local, update =
// worker) or differences (easgd).
ParameterKind kind_on_servers(const ModelOptions& options, ParameterKind kind) noexcept;

// Easgd's alpha with its default filled in.
float elastic_rate(const Easgd& mode, std::uint32_t workers) noexcept;

// Throws ps::Error(kInvalidArgument) for modes and settings that mean nothing together.
void check_mode(const ModelOptions& options, std::uint32_t workers);

}  // namespace ps::optim
