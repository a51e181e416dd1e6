#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.h"
#include "base/memory.h"
#include "checkpoint/checkpoint.h"
#include "generate.h"
#include "load_engine.h"
#include "media/image.h"
#include "taps.h"
#include "terminal.h"

namespace omni::cli {
namespace {

// "out.png" for one picture, "out-2.png" for the second of several.
std::string numbered(const std::string& output, int image, int images) {
  if (images == 1 || output == "-") return output;
  const std::filesystem::path path = output;
  return (path.parent_path() / (path.stem().string() + "-" + std::to_string(image + 1) + path.extension().string()))
      .string();
}

// Finds out before a second is spent whether the picture can be written.
void check_output(const std::string& output, int images) {
  if (output == "-") {
    if (images != 1) throw usage_error("-o", "is stdout, which takes one picture", "--n 1, or a file name");
    return;
  }
  (void)image_format_of(output);
  std::filesystem::path folder = std::filesystem::path(output).parent_path();
  if (folder.empty()) folder = ".";
  if (!std::filesystem::is_directory(folder)) throw Error(output, "its folder does not exist", "an existing folder");
  if (std::filesystem::is_directory(output)) throw Error(output, "is a folder", "a file name");
  if (::access(folder.c_str(), W_OK) != 0) throw Error(output, "its folder cannot be written", "a writable folder");
}

void write_output(const std::string& path, const ImageDone& done) {
  const Image image{done.width, done.height, done.rgb};
  if (path != "-") return write_image(path, image);
  const std::string bytes = encode_image(image, ImageFormat::kPng);
  if (std::fwrite(bytes.data(), 1, bytes.size(), stdout) != bytes.size() || std::fflush(stdout) != 0) {
    throw Error("stdout", "cannot be written", "an open pipe or file");
  }
}

ImageRequest request_of(const GenerateFlags& flags) {
  ImageRequest request = flags.image.request(flags.prompt);
  request.images = flags.images;
  if (!flags.noise.empty()) {
    const Tensor noise = read_npy(flags.noise);
    if (noise.dtype() != DType::kF32)
      throw Error(flags.noise, "holds " + std::string(dtype_name(noise.dtype())), "f32");
    request.noise.assign(noise.f32(), noise.f32() + noise.shape().count());
  }
  return request;
}

}  // namespace

int generate_image(const GenerateFlags& flags) {
  const ModelOptions options = flags.common.options();
  if (flags.common.json && flags.output == "-")
    throw usage_error("--json", "stands beside -o -", "one of the two on stdout");
  if (flags.prompt.empty()) throw usage_error("--prompt", "is empty", "a text");
  check_output(flags.output, flags.images);
  const std::unique_ptr<Engine> loaded = load_engine(options, flags.common.quiet);
  Engine& engine = *loaded;
  std::unique_ptr<TapWriter> taps;
  if (!flags.taps.empty()) {
    taps = std::make_unique<TapWriter>(flags.taps, flags.taps_filter);
    engine.set_tap(taps.get());
  }
  const int64_t weights = engine.ledger().packed_bytes();
  nlohmann::json outputs = nlohmann::json::array();
  ImageTimings sum;
  std::optional<Failed> failed;
  engine.submit(request_of(flags));
  ProgressBar bar("painting", flags.common.quiet);
  const auto on_event = [&](const Event& event) {
    if (const auto* progress = std::get_if<Progress>(&event)) {
      bar.update(int64_t{progress->image} * progress->steps + progress->step, int64_t{flags.images} * progress->steps);
    } else if (const auto* done = std::get_if<ImageDone>(&event)) {
      const std::string path = numbered(flags.output, done->image, flags.images);
      write_output(path, *done);
      sum.encode_s += done->timings.encode_s;
      sum.denoise_s += done->timings.denoise_s;
      sum.decode_s += done->timings.decode_s;
      outputs.push_back({{"path", path},
                         {"width", done->width},
                         {"height", done->height},
                         {"seed", flags.image.seed},
                         {"image", done->image}});
      bar.finish(
          fmt::format("{}: {}x{} in {:.2f} s (load {:.2f}, encode {:.3f}, denoise {:.3f}, decode {:.3f}), weights {}",
                      path, done->width, done->height,
                      done->timings.encode_s + done->timings.denoise_s + done->timings.decode_s, engine.load_seconds(),
                      done->timings.encode_s, done->timings.denoise_s, done->timings.decode_s, bytes_text(weights)));
    } else if (const auto* failure = std::get_if<Failed>(&event)) {
      failed = *failure;
    }
  };
  engine.run(on_event);
  if (failed) {
    std::fprintf(stderr, "omni: error: %s\n", failed->message.c_str());
    return failed->usage ? 2 : 1;
  }
  if (flags.common.json) {
    const nlohmann::json document = {{"outputs", outputs},
                                     {"timings",
                                      {{"load_s", engine.load_seconds()},
                                       {"encode_s", sum.encode_s},
                                       {"denoise_s", sum.denoise_s},
                                       {"decode_s", sum.decode_s},
                                       {"total_s", sum.encode_s + sum.denoise_s + sum.decode_s}}},
                                     {"memory", {{"weights_bytes", weights}, {"peak_bytes", peak_resident_bytes()}}},
                                     {"quantization", quantization_json(options.quantization, engine.ledger())}};
    fmt::print("{}\n", document.dump(2));
  }
  return 0;
}

}  // namespace omni::cli
