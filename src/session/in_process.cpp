#include "session/in_process.h"

#include <charconv>
#include <exception>
#include <future>
#include <utility>

#include <ps/error.h>

namespace ps {
namespace {

std::string hex(std::uint64_t value) {
  std::string text(16, '0');
  for (std::size_t i = 0; i < text.size(); ++i)
    text[15 - i] = "0123456789abcdef"[value >> (4 * i) & 15];
  return text;
}

}  // namespace

InProcessServers::InProcessServers(ops::Config config)
    : config_(std::move(config)), fabric_(std::make_shared<const Fabric>(config_.transport, true)) {
  if (config_.cluster.job_id.empty())
    config_.cluster.job_id = hex(make_nonce()) + hex(make_nonce());
  std::promise<std::string> bound;
  std::future<std::string> endpoint = bound.get_future();
  threads_.emplace_back([config = config_, fabric = fabric_,
                         bound = std::move(bound)](const std::stop_token& stop) mutable {
    try {
      run_scheduler(
          config, *fabric, true, [&](const std::string& where) { bound.set_value(where); }, stop);
    } catch (...) {
      bound.set_exception(std::current_exception());
    }
  });
  config_.cluster.scheduler = endpoint.get();
  const auto shards = static_cast<std::uint32_t>(config_.cluster.servers * config_.cluster.shards);
  for (std::uint32_t shard = 0; shard < shards; ++shard) {
    threads_.emplace_back([config = config_, fabric = fabric_, shard](const std::stop_token& stop) {
      try {
        run_shard(config, *fabric, true, shard, stop);
      } catch (const Error& error) {
        // The workers hear of it from the scheduler, which misses this shard.
        Log("shard " + std::to_string(shard), config.job.log_level).error(error.what());
      }
    });
  }
}

InProcessServers::~InProcessServers() {
  // Workers that finished have told the scheduler, and the threads are ending; if one went away
  // without a word, this ends them.
  for (auto& thread : threads_) thread.request_stop();
}

}  // namespace ps
