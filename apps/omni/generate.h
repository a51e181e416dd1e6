#pragma once
#include <string>

#include "common_flags.h"

namespace omni::cli {

// Everything `omni generate` takes; which part counts depends on what the model gives.
struct GenerateFlags {
  CommonFlags common;
  std::string prompt, taps, taps_filter;
  // pictures
  ImageFlags image;
  std::string output = "out.png", noise;
  int images = 1;
  // text
  std::string prompt_ids, dump_logits;
  int max_tokens = 128;
  double temperature = 0;
  bool ignore_eos = false, no_chat_template = false;
};

// One job of each kind; the exit code. Throw Error.
int generate_image(const GenerateFlags& flags);
int generate_text(const GenerateFlags& flags);

}  // namespace omni::cli
