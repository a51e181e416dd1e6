#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "media/image.h"

namespace omni {

// Text drawn with a built-in font of fixed width: ASCII 32 to 126, another byte shows as '?'.
struct TextStyle {
  int height = 15;  // of a line in pixels, a multiple of 5; a character is 0.6 of it wide
  std::array<uint8_t, 3> colour = {0x33, 0x33, 0x38};
};

int text_width(std::string_view text, const TextStyle& style);

// The text, or as much of it as fits with "..." after it.
std::string fit_text(std::string_view text, int width, const TextStyle& style);

// Anti-aliased; parts outside the picture are cut off.
void draw_text(Image& image, int left, int top, std::string_view text, const TextStyle& style);

}  // namespace omni
