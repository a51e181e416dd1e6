#pragma once
#include "media/image.h"

namespace omni {

// One pair a format, behind encode_image and decode_image; the limits are checked before memory is taken.

// Throws Error (where: the name it carries) when a picture is empty or beyond the limits.
void check_image_size(int64_t width, int64_t height, const std::string& where);

// RGBA pixels laid over white.
Image over_white(std::span<const uint8_t> rgba, int width, int height);

std::string encode_jpeg(const Image& image, int quality);
std::string encode_png(const Image& image);
std::string encode_webp(const Image& image, const EncodeOptions& options);

Image decode_jpeg(std::string_view bytes, const std::string& where);
Image decode_png(std::string_view bytes, const std::string& where);
Image decode_webp(std::string_view bytes, const std::string& where);

}  // namespace omni
