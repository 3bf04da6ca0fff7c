// A table as the text that parse_detector_table() reads.
#include <sstream>
#include <string>

#include <ps/nn/detector.h>

namespace ps::nn {
namespace {

template <class List, class Write>
void write_list(std::ostream& out, const List& list, const Write& write) {
  out << "[";
  bool first = true;
  for (const auto& each : list) {
    out << (first ? "" : ", ");
    write(each);
    first = false;
  }
  out << "]";
}

void write_row(std::ostream& out, const DetectorRow& row) {
  out << "  - [";
  write_list(out, row.from, [&](int from) { out << from; });
  out << ", " << row.number << ", " << row.module << ", ";
  write_list(out, row.arguments,
             [&](const std::string& argument) { out << "'" << argument << "'"; });
  out << "]\n";
}

const char* activation_name(ActivationFunction function) {
  if (function == ActivationFunction::kRelu) return "nn.ReLU()";
  return function == ActivationFunction::kSilu ? "nn.SiLU()" : "nn.LeakyReLU";
}

}  // namespace

std::string to_yaml(const DetectorTable& table) {
  std::ostringstream out;
  out.precision(9);
  out << "nc: " << table.classes << "\nscales: {x: [" << table.depth_multiple << ", "
      << table.width_multiple << ", " << table.max_channels
      << "]}\nactivation: " << activation_name(table.activation);
  if (table.activation == ActivationFunction::kLeakyRelu) out << "(" << table.slope << ")";
  out << "\n";
  if (!table.anchors.empty()) {
    out << "anchors: ";
    write_list(out, table.anchors, [&](const std::vector<Anchor>& level) {
      write_list(out, level,
                 [&](const Anchor& anchor) { out << anchor.width << ", " << anchor.height; });
    });
    out << "\n";
  }
  out << "backbone:\n";
  for (const DetectorRow& row : table.rows) write_row(out, row);
  out << "head: []\n";
  return out.str();
}

}  // namespace ps::nn
