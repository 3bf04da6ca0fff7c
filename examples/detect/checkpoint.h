// Files of a run's weights: last (everything that training goes on from), best (for inference).
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include <ps/model.h>
#include <ps/session.h>

#include "network.h"
#include "setup.h"

namespace detect {

// A copy of the model's weights as last pulled, by parameter.
Values values_of(const ps::Model& model);

// What a file of the run says about it: epoch, fitness, data, seed.
std::map<std::string, std::string> run_metadata(const Setup& setup,
                                                const ps::Session& session,
                                                std::uint32_t epoch);

// Rank 0 writes weights/last.safetensors after `epoch`, and epochN.safetensors where --save-period
// asks for it. Every worker calls it, none has a step under way.
void save_checkpoint(ps::Session& session,
                     ps::Model& model,
                     const Setup& setup,
                     std::uint32_t epoch);

// When the run is over: last.safetensors shrinks to what inference needs.
void finish_checkpoints(const Setup& setup,
                        Network& network,
                        const Values& best,
                        const std::map<std::string, std::string>& metadata);

// The best weights of the run that this one went on from, from rank 0's file; empty where there are
// none.
Values best_of_earlier(ps::Session& session, const Setup& setup, Network& network);

}  // namespace detect
