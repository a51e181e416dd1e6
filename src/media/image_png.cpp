#include <png.h>

#include "base/error.h"
#include "media/image_codecs.h"

namespace omni {
namespace {

// libpng's simplified interface: it catches its own long jumps and reports by a message.
struct PngImage {
  png_image image{};
  PngImage() { image.version = PNG_IMAGE_VERSION; }
  ~PngImage() { png_image_free(&image); }
  PngImage(const PngImage&) = delete;
  PngImage& operator=(const PngImage&) = delete;
};

}  // namespace

std::string encode_png(const Image& image) {
  PngImage png;
  png.image.width = static_cast<png_uint_32>(image.width);
  png.image.height = static_cast<png_uint_32>(image.height);
  png.image.format = PNG_FORMAT_RGB;
  std::string bytes(PNG_IMAGE_PNG_SIZE_MAX(png.image), '\0');
  png_alloc_size_t size = bytes.size();
  if (png_image_write_to_memory(&png.image, bytes.data(), &size, 0, image.rgb.data(), 0, nullptr) == 0)
    throw Error("PNG", std::string("cannot be encoded: ") + png.image.message);
  bytes.resize(size);
  return bytes;
}

Image decode_png(std::string_view bytes, const std::string& where) {
  PngImage png;
  const auto failed = [&] {
    return Error(where, std::string("is a damaged PNG: ") + png.image.message, "a whole PNG");
  };
  if (png_image_begin_read_from_memory(&png.image, bytes.data(), bytes.size()) == 0) throw failed();
  check_image_size(png.image.width, png.image.height, where);
  png.image.flags |= PNG_IMAGE_FLAG_16BIT_sRGB;
  png.image.format = PNG_FORMAT_RGBA;
  std::vector<uint8_t> rgba(PNG_IMAGE_SIZE(png.image));
  if (png_image_finish_read(&png.image, nullptr, rgba.data(), 0, nullptr) == 0) throw failed();
  return over_white(rgba, static_cast<int>(png.image.width), static_cast<int>(png.image.height));
}

}  // namespace omni
