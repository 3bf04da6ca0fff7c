#include "hyperparameters.h"

#include <algorithm>
#include <fstream>
#include <ostream>
#include <sstream>
#include <string>
#include <yaml-cpp/yaml.h>

#include <ps/error.h>

namespace detect {
namespace {

template <float Hyperparameters::*Member>
constexpr HyperparameterField number(std::string_view name, float low, float high) {
  return {name, low, high, [](Hyperparameters& h) { return &(h.*Member); }, nullptr};
}

template <float ps::vision::Augmentation::*Member>
constexpr HyperparameterField chance(std::string_view name, float low, float high) {
  return {name, low, high, [](Hyperparameters& h) { return &(h.augmentation.*Member); }, nullptr};
}

template <bool Hyperparameters::*Member>
constexpr HyperparameterField flag(std::string_view name) {
  return {name, 0.0F, 1.0F, nullptr, [](Hyperparameters& h) { return &(h.*Member); }};
}

std::string known_names() {
  std::string names;
  for (const HyperparameterField& field : hyperparameter_fields()) {
    names += (names.empty() ? "" : ", ") + std::string(field.name);
  }
  return names;
}

[[noreturn]] void refuse(const std::string& file, const std::string& what) {
  throw ps::Error(ps::ErrorCode::kInvalidArgument, file + ": " + what);
}

// Keys that others' files have and that mean nothing here.
bool is_ignored(const std::string& key) {
  return key == "iou_t" || key == "anchors";
}

float to_number(const std::string& file, const std::string& key, const YAML::Node& value) {
  float number = 0.0F;
  if (value.IsScalar() && YAML::convert<float>::decode(value, number)) return number;
  bool yes = false;
  if (value.IsScalar() && YAML::convert<bool>::decode(value, yes)) return yes ? 1.0F : 0.0F;
  refuse(file, key + ": expected a number");
}

void assign(const std::string& file,
            const std::string& key,
            const YAML::Node& value,
            Hyperparameters& result) {
  if (is_ignored(key)) return;
  const auto& fields = hyperparameter_fields();
  const auto field = std::ranges::find(fields, key, &HyperparameterField::name);
  if (field == fields.end()) {
    refuse(file, "there is no hyper-parameter \"" + key + "\"; there are " + known_names());
  }
  const float given = to_number(file, key, value);
  if (!(given >= field->low && given <= field->high)) {
    std::ostringstream what;
    what << key << ": expected " << field->low << " to " << field->high << ", got " << given;
    refuse(file, what.str());
  }
  if (field->flag != nullptr) {
    *field->flag(result) = given != 0.0F;
  } else {
    *field->value(result) = given;
  }
}

Hyperparameters read_file(const std::string& path) {
  std::ifstream file(path);
  if (!file) {
    throw ps::Error(ps::ErrorCode::kIo,
                    path +
                        ": cannot be read; expected scratch-low, scratch-med, scratch-high, v8, "
                        "small or a YAML file of hyper-parameters");
  }
  std::stringstream text;
  text << file.rdbuf();
  Hyperparameters result;
  try {
    const YAML::Node root = YAML::Load(text.str());
    if (!root.IsMap()) refuse(path, "expected lines of `name: value`");
    for (const auto& entry : root)
      assign(path, entry.first.as<std::string>(), entry.second, result);
  } catch (const YAML::Exception& error) {
    refuse(path, error.what());
  }
  return result;
}

Hyperparameters scratch(float lrf, float cls, float obj, float scale) {
  Hyperparameters result;
  result.lrf = lrf;
  result.cls = cls;
  result.obj = obj;
  result.augmentation.scale = scale;
  return result;
}

// Few, small pictures and steps: YOLOv5's scaling of gains by pixels and classes would all but
// switch the objectness off, and its averages would still hold the first weights at the end.
Hyperparameters small() {
  Hyperparameters result;
  result.warmup_epochs = 1.0F;
  result.box = 0.075F;
  result.scale_gains = false;
  result.nbs = 0.0F;
  result.ema_decay = 0.999F;
  result.ema_tau = 200.0F;
  result.augmentation = {};
  result.augmentation.hsv_h = 0.0F;
  result.augmentation.hsv_s = 0.2F;
  result.augmentation.hsv_v = 0.4F;
  result.augmentation.translate = 0.0F;
  result.augmentation.scale = 0.0F;
  result.augmentation.mosaic = 0.0F;
  return result;
}

}  // namespace

const std::vector<HyperparameterField>& hyperparameter_fields() {
  using H = Hyperparameters;
  using A = ps::vision::Augmentation;
  static const std::vector<HyperparameterField> kFields{
      number<&H::lr0>("lr0", 1e-6F, 10.0F),
      number<&H::lrf>("lrf", 0.0F, 1.0F),
      number<&H::momentum>("momentum", 0.0F, 0.999F),
      number<&H::weight_decay>("weight_decay", 0.0F, 1.0F),
      number<&H::warmup_epochs>("warmup_epochs", 0.0F, 1000.0F),
      number<&H::warmup_momentum>("warmup_momentum", 0.0F, 0.999F),
      number<&H::warmup_bias_lr>("warmup_bias_lr", 0.0F, 10.0F),
      number<&H::box>("box", 0.0F, 100.0F),
      number<&H::cls>("cls", 0.0F, 100.0F),
      number<&H::obj>("obj", 0.0F, 100.0F),
      number<&H::dfl>("dfl", 0.0F, 100.0F),
      number<&H::cls_pw>("cls_pw", 0.01F, 100.0F),
      number<&H::obj_pw>("obj_pw", 0.01F, 100.0F),
      number<&H::fl_gamma>("fl_gamma", 0.0F, 10.0F),
      number<&H::anchor_t>("anchor_t", 1.0F, 100.0F),
      flag<&H::scale_gains>("scale_gains"),
      number<&H::clip>("clip", 0.0F, 1e6F),
      number<&H::nbs>("nbs", 0.0F, 65536.0F),
      number<&H::ema_decay>("ema_decay", 0.0F, 0.999999F),
      number<&H::ema_tau>("ema_tau", 0.0F, 1e9F),
      number<&H::close_mosaic>("close_mosaic", 0.0F, 10000.0F),
      chance<&A::hsv_h>("hsv_h", 0.0F, 1.0F),
      chance<&A::hsv_s>("hsv_s", 0.0F, 1.0F),
      chance<&A::hsv_v>("hsv_v", 0.0F, 1.0F),
      chance<&A::degrees>("degrees", 0.0F, 180.0F),
      chance<&A::translate>("translate", 0.0F, 1.0F),
      chance<&A::scale>("scale", 0.0F, 0.99F),
      chance<&A::shear>("shear", 0.0F, 45.0F),
      chance<&A::perspective>("perspective", 0.0F, 0.001F),
      chance<&A::flipud>("flipud", 0.0F, 1.0F),
      chance<&A::fliplr>("fliplr", 0.0F, 1.0F),
      chance<&A::mosaic>("mosaic", 0.0F, 1.0F),
      chance<&A::mixup>("mixup", 0.0F, 1.0F),
      chance<&A::cutmix>("cutmix", 0.0F, 1.0F),
      chance<&A::copy_paste>("copy_paste", 0.0F, 1.0F),
  };
  return kFields;
}

Hyperparameters load_hyperparameters(const std::string& name_or_file) {
  if (name_or_file == "scratch-low") return scratch(0.01F, 0.5F, 1.0F, 0.5F);
  if (name_or_file == "scratch-med") {
    Hyperparameters result = scratch(0.1F, 0.3F, 0.7F, 0.9F);
    result.augmentation.mixup = 0.1F;
    return result;
  }
  if (name_or_file == "scratch-high") {
    Hyperparameters result = scratch(0.1F, 0.3F, 0.7F, 0.9F);
    result.augmentation.mixup = 0.1F;
    result.augmentation.copy_paste = 0.1F;
    return result;
  }
  if (name_or_file == "v8") {
    Hyperparameters result = scratch(0.01F, 0.5F, 1.0F, 0.5F);
    result.box = 7.5F;
    result.scale_gains = false;
    result.close_mosaic = 10.0F;
    return result;
  }
  if (name_or_file == "small") return small();
  return read_file(name_or_file);
}

void override_hyperparameter(Hyperparameters& hyperparameters, const std::string& change) {
  const std::size_t middle = change.find('=');
  if (middle == std::string::npos) refuse("--set " + change, "expected NAME=NUMBER");
  assign("--set", change.substr(0, middle), YAML::Node(change.substr(middle + 1)), hyperparameters);
}

void write_hyperparameters(std::ostream& out, const Hyperparameters& hyperparameters) {
  Hyperparameters copy = hyperparameters;
  for (const HyperparameterField& field : hyperparameter_fields()) {
    out << field.name << ": ";
    if (field.flag != nullptr) {
      out << (*field.flag(copy) ? "true" : "false");
    } else {
      out << *field.value(copy);
    }
    out << "\n";
  }
}

}  // namespace detect
