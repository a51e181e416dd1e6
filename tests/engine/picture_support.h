#pragma once
#include <map>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "media/image.h"
#include "omni/engine.h"
#include "tensor/exec.h"

namespace omni::testing {

// Keeps a copy of every tapped tensor by "step3.path", or "path" outside of steps.
class Recorder final : public Tap {
 public:
  void record(std::string_view path, int64_t step, const Tensor& tensor) override {
    const std::string name = step < 0 ? std::string(path) : "step" + std::to_string(step) + "." + std::string(path);
    taps[name] = to_f32(tensor);
  }
  std::map<std::string, Tensor> taps;
};

struct Painted {
  Image image;
  std::string failure;  // Failed's message, "" when it went well
  bool usage = false;
};

inline Painted paint(Engine& engine, ImageRequest request) {
  Painted out;
  engine.submit(std::move(request));
  engine.run([&](const Event& event) {
    if (const auto* done = std::get_if<ImageDone>(&event)) out.image = Image{done->width, done->height, done->rgb};
    if (const auto* failed = std::get_if<Failed>(&event)) {
      out.failure = failed->message;
      out.usage = failed->usage;
    }
  });
  return out;
}

}  // namespace omni::testing
