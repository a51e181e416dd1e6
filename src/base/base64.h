#pragma once
#include <string>
#include <string_view>

namespace omni {

// RFC 4648 with padding, no line breaks.
std::string base64_encode(std::string_view bytes);

// Throws Error (where: the name it carries) for characters outside the alphabet, a wrong length or wrong padding.
std::string base64_decode(std::string_view text, const std::string& where);

}  // namespace omni
