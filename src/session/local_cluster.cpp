#include <exception>
#include <mutex>
#include <thread>

#include <ps/error.h>
#include <ps/local_cluster.h>

#include "session/session_impl.h"

namespace ps {

void LocalCluster::run(std::uint32_t workers,
                       const std::function<void(Session&)>& worker,
                       const LocalClusterOptions& options) {
  std::vector<std::string> flags{"local",
                                 "--cluster.workers=" + std::to_string(workers),
                                 "--cluster.servers=" + std::to_string(options.servers),
                                 "--transport.kind=" + options.transport,
                                 "--job.seed=" + std::to_string(options.seed),
                                 "--job.log_level=warn",
                                 "--observe.progress=off"};
  flags.insert(flags.end(), options.flags.begin(), options.flags.end());
  std::vector<const char*> argv;
  for (const std::string& flag : flags) argv.push_back(flag.c_str());
  std::vector<std::string> rest;
  InProcessServers servers(ops::load_config(static_cast<int>(argv.size()), argv.data(), rest, {}));

  std::mutex mutex;
  std::exception_ptr first_error;  // guarded by mutex
  const auto run_worker = [&](std::uint32_t rank) {
    ops::Config config = servers.config();
    config.cluster.index = rank;
    try {
      auto impl = Session::Impl::join(std::move(config), servers.fabric(), true);
      Session::Impl& shared = *impl;
      Session session(std::move(impl));
      try {
        worker(session);
        if (!shared.finished) session.finish();
      } catch (const std::exception& error) {
        shared.abandon(error.what());
        throw;
      }
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!first_error) first_error = std::current_exception();
    }
  };
  {
    std::vector<std::jthread> threads;
    for (std::uint32_t rank = 0; rank < workers; ++rank) threads.emplace_back(run_worker, rank);
  }
  if (first_error) std::rethrow_exception(first_error);
}

}  // namespace ps
