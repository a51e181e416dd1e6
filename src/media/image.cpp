#include "media/image.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cctype>

#include "base/error.h"
#include "base/files.h"
#include "media/image_codecs.h"

namespace omni {

void check_image_size(int64_t width, int64_t height, const std::string& where) {
  if (width >= 1 && height >= 1 && width <= kMaxImageSide && height <= kMaxImageSide &&
      width * height <= kMaxImagePixels)
    return;
  throw Error(where, "is a picture of " + std::to_string(width) + " x " + std::to_string(height),
              "1 to 16384 a side and at most 64 Mi pixels");
}

Image blank_image(int width, int height, uint8_t red, uint8_t green, uint8_t blue) {
  check_image_size(width, height, "image");
  Image image{width, height, std::vector<uint8_t>(3 * static_cast<size_t>(width) * static_cast<size_t>(height))};
  for (size_t i = 0; i < image.rgb.size(); i += 3) {
    image.rgb[i] = red;
    image.rgb[i + 1] = green;
    image.rgb[i + 2] = blue;
  }
  return image;
}

Image over_white(std::span<const uint8_t> rgba, int width, int height) {
  Image image = blank_image(width, height, 0, 0, 0);
  for (size_t i = 0, count = image.rgb.size() / 3; i < count; ++i) {
    const int alpha = rgba[4 * i + 3];
    for (size_t c = 0; c < 3; ++c)
      image.rgb[3 * i + c] = static_cast<uint8_t>((rgba[4 * i + c] * alpha + 255 * (255 - alpha) + 127) / 255);
  }
  return image;
}

ImageFormat image_format_of(const std::filesystem::path& path) {
  std::string extension = path.extension().string();
  for (char& c : extension) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (extension == ".png") return ImageFormat::kPng;
  if (extension == ".jpg" || extension == ".jpeg") return ImageFormat::kJpeg;
  if (extension == ".webp") return ImageFormat::kWebp;
  throw usage_error(path.string(), "has the extension '" + extension + "'", ".png, .jpg, .jpeg or .webp");
}

std::string encode_image(const Image& image, ImageFormat format, const EncodeOptions& options) {
  check_image_size(image.width, image.height, "image");
  assert(image.rgb.size() == 3 * static_cast<size_t>(image.width) * static_cast<size_t>(image.height));
  switch (format) {
    case ImageFormat::kJpeg:
      return encode_jpeg(image, options.jpeg_quality);
    case ImageFormat::kPng:
      return encode_png(image);
    case ImageFormat::kWebp:
      return encode_webp(image, options);
  }
  throw Error("image", "has an unknown format");
}

Image decode_image(std::string_view bytes, const std::string& where) {
  if (bytes.starts_with("\x89PNG")) return decode_png(bytes, where);
  if (bytes.starts_with("\xff\xd8\xff")) return decode_jpeg(bytes, where);
  if (bytes.starts_with("RIFF") && bytes.size() >= 12 && bytes.substr(8, 4) == "WEBP") return decode_webp(bytes, where);
  throw Error(where, "is no picture of a known format", "PNG, JPEG or WebP");
}

void write_image(const std::filesystem::path& path, const Image& image, const EncodeOptions& options) {
  write_file_whole(path, encode_image(image, image_format_of(path), options));
}

Image read_image(const std::filesystem::path& path) {
  constexpr size_t kMaxBytes = size_t{256} << 20;
  return decode_image(read_file(path, kMaxBytes), path.string());
}

Image image_from_float(std::span<const float> values, int width, int height) {
  Image image = blank_image(width, height, 0, 0, 0);
  assert(values.size() == image.rgb.size());
  for (size_t i = 0; i < values.size(); ++i) {
    const float half = values[i] * 0.5f + 0.5f;
    const float unit = half > 0.0f ? std::min(half, 1.0f) : 0.0f;  // NaN becomes 0
    // Added to 2^23, a number is rounded to an integer (half to even), which then is the low bits.
    image.rgb[i] = static_cast<uint8_t>(std::bit_cast<uint32_t>(unit * 255.0f + 8388608.0f));
  }
  return image;
}

}  // namespace omni
