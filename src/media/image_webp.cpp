#include <webp/decode.h>
#include <webp/encode.h>

#include <memory>

#include "base/error.h"
#include "media/image_codecs.h"

namespace omni {
namespace {

const uint8_t* bytes_of(std::string_view text) {
  return reinterpret_cast<const uint8_t*>(text.data());
}

}  // namespace

std::string encode_webp(const Image& image, const EncodeOptions& options) {
  if (image.width > WEBP_MAX_DIMENSION || image.height > WEBP_MAX_DIMENSION) {
    throw Error("WebP", "cannot hold " + std::to_string(image.width) + " x " + std::to_string(image.height),
                "at most 16383 a side");
  }
  uint8_t* bytes = nullptr;
  const size_t size = options.webp_lossless
                          ? WebPEncodeLosslessRGB(image.rgb.data(), image.width, image.height, 3 * image.width, &bytes)
                          : WebPEncodeRGB(image.rgb.data(), image.width, image.height, 3 * image.width,
                                          static_cast<float>(options.webp_quality), &bytes);
  const std::unique_ptr<uint8_t, decltype(&WebPFree)> owner(bytes, &WebPFree);
  if (size == 0) throw Error("WebP", "cannot be encoded");
  return std::string(reinterpret_cast<const char*>(bytes), size);
}

Image decode_webp(std::string_view bytes, const std::string& where) {
  WebPBitstreamFeatures features;
  if (WebPGetFeatures(bytes_of(bytes), bytes.size(), &features) != VP8_STATUS_OK)
    throw Error(where, "is a damaged WebP: no header", "a whole WebP");
  check_image_size(features.width, features.height, where);
  if (features.has_animation != 0) throw Error(where, "is an animated WebP", "a still picture");
  std::vector<uint8_t> rgba(4 * static_cast<size_t>(features.width) * static_cast<size_t>(features.height));
  if (WebPDecodeRGBAInto(bytes_of(bytes), bytes.size(), rgba.data(), rgba.size(), 4 * features.width) == nullptr)
    throw Error(where, "is a damaged WebP", "a whole WebP");
  return over_white(rgba, features.width, features.height);
}

}  // namespace omni
