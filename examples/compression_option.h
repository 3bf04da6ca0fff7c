// The flags --compress and --compress-pull, as every example that trains has them.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include <ps/compression.h>
#include <ps/error.h>

inline void declare_compression(CLI::App& app, std::string& push, std::string& pull) {
  const auto complaint = [](const std::string& of_push, const std::string& of_pull) {
    try {
      static_cast<void>(ps::compression_of(of_push, of_pull));
      return std::string();
    } catch (const ps::Error& error) {
      return std::string(error.what());
    }
  };
  app.add_option("--compress", push,
                 "Gradients in fewer bytes on the wire: fp16 or bf16 (a half), int8 or "
                 "int8-stochastic (a quarter), topk:0.01 (the largest hundredth), sign (a bit "
                 "each); what int8, topk and sign leave out is sent later. Worth it on slow "
                 "networks only: docs/compression.md")
      ->check([complaint](const std::string& text) { return complaint(text, "none"); })
      ->capture_default_str();
  app.add_option("--compress-pull", pull,
                 "The weights that a step brings back in half the bytes: fp16 or bf16")
      ->check([complaint](const std::string& text) { return complaint("none", text); })
      ->capture_default_str();
}
