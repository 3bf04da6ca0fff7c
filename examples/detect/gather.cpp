#include "gather.h"

#include <algorithm>
#include <span>

namespace detect {
namespace {

constexpr std::size_t kBlock = 1 << 16;  // values of one message

}  // namespace

std::vector<double> gather(ps::Session& session, const std::vector<double>& mine) {
  std::vector<double> sizes(session.workers());
  sizes[session.rank()] = static_cast<double>(mine.size());
  sizes = session.reduce(sizes);
  std::size_t first = 0;
  std::size_t total = 0;
  for (std::size_t rank = 0; rank < sizes.size(); ++rank) {
    if (rank < session.rank()) first += static_cast<std::size_t>(sizes[rank]);
    total += static_cast<std::size_t>(sizes[rank]);
  }
  std::vector<double> all(total);
  std::ranges::copy(mine, all.begin() + static_cast<std::ptrdiff_t>(first));
  for (std::size_t begin = 0; begin < total; begin += kBlock) {
    const std::span<double> block = std::span(all).subspan(begin, std::min(kBlock, total - begin));
    std::ranges::copy(session.reduce(block), block.begin());
  }
  return all;
}

std::string from_rank_0(ps::Session& session, const std::string& text) {
  std::vector<double> mine;
  if (session.rank() == 0) {
    for (const char byte : text) mine.push_back(static_cast<unsigned char>(byte));
  }
  std::string result;
  for (const double byte : gather(session, mine)) {
    result += static_cast<char>(static_cast<unsigned char>(byte));
  }
  return result;
}

}  // namespace detect
