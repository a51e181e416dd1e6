#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace omni {

// 8-bit RGB pixels, rows from the top, no padding: rgb.size() == 3 * width * height.
struct Image {
  int width = 0, height = 0;
  std::vector<uint8_t> rgb;

  uint8_t* pixel(int x, int y) {
    return rgb.data() + 3 * (static_cast<size_t>(y) * static_cast<size_t>(width) + static_cast<size_t>(x));
  }
  const uint8_t* pixel(int x, int y) const { return const_cast<Image*>(this)->pixel(x, y); }
};

// A picture of one colour. Throws Error beyond the limits below.
Image blank_image(int width, int height, uint8_t red, uint8_t green, uint8_t blue);

constexpr int kMaxImageSide = 16384;
constexpr int64_t kMaxImagePixels = int64_t{64} << 20;

enum class ImageFormat : uint8_t { kJpeg, kPng, kWebp };

// By the extension (png, jpg, jpeg, webp, any case); another one is a usage Error.
ImageFormat image_format_of(const std::filesystem::path& path);

struct EncodeOptions {
  int jpeg_quality = 95;      // 1 to 100
  bool webp_lossless = true;  // else webp_quality
  int webp_quality = 90;      // 1 to 100
};

std::string encode_image(const Image& image, ImageFormat format, const EncodeOptions& options = {});

// Reads PNG, JPEG or WebP, known by its first bytes. Alpha is laid over white, 16 bits become 8, grey and palettes
// become RGB. where: the name errors carry. Throws Error for damaged bytes and for pictures beyond the limits.
Image decode_image(std::string_view bytes, const std::string& where);

// Writes whole or not at all; the format is that of the extension.
void write_image(const std::filesystem::path& path, const Image& image, const EncodeOptions& options = {});
Image read_image(const std::filesystem::path& path);

// values: f32 [height, width, 3] in [-1, 1] (clamped, NaN is 0): round(255 * (x / 2 + 0.5)), half to even, as
// diffusers.
Image image_from_float(std::span<const float> values, int width, int height);

}  // namespace omni
