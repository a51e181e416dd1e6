#pragma once
#include <filesystem>
#include <string>

namespace omni {

// Where MODEL lies: a folder, a GGUF reference (checkpoint/gguf_reference.h), or the name of a bundled model, looked
// for in $OMNI_MODELS, beside the program (../models, ../../models ..., ../share/omni/models) and in ./models. Throws
// Error listing what was tried.
std::filesystem::path find_model(const std::string& model);

}  // namespace omni
