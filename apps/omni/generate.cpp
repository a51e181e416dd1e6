#include "generate.h"

#include <array>
#include <memory>

#include "base/error.h"
#include "commands.h"
#include "pipelines/model_location.h"
#include "pipelines/pipeline_list.h"

namespace omni::cli {
namespace {

constexpr std::array kImageOnly = {
    "--guidance", "--height", "--max-sequence-length", "--n", "--noise", "--output", "--seed", "--steps", "--width",
};
constexpr std::array kTextOnly = {
    "--dump-logits", "--ignore-eos", "--max-tokens", "--no-chat-template", "--prompt-ids", "--temperature",
};

// A flag of the other kind of model would have no effect.
template <size_t kCount>
void refuse_flags(const CLI::App& sub, const std::array<const char*, kCount>& names, const std::string& model,
                  const char* gives) {
  for (const char* name : names) {
    if (sub.get_option(name)->count() == 0) continue;
    throw usage_error(name, "has no effect: " + model + std::string(gives), "flags of that kind of model");
  }
}

int run(const CLI::App& sub, const GenerateFlags& flags) {
  const PipelineEntry& kind = find_pipeline(ModelFiles::read(find_model(flags.common.model)));
  switch (kind.makes) {
    case Output::kImage:
      refuse_flags(sub, kTextOnly, flags.common.model, " paints pictures");
      return generate_image(flags);
    case Output::kText:
      refuse_flags(sub, kImageOnly, flags.common.model, " writes text");
      return generate_text(flags);
  }
  return 1;
}

}  // namespace

Command add_generate(CLI::App& app) {
  auto flags = std::make_shared<GenerateFlags>();
  CLI::App* sub = app.add_subcommand("generate", "paint a picture, or write a text");
  flags->common.add_to(*sub);
  flags->image.add_to(*sub);
  sub->add_option("--prompt", flags->prompt, "what to paint, or the text to go on with");
  sub->add_option("-o,--output", flags->output, "FILE.png, .jpg or .webp; - writes PNG to stdout");
  sub->add_option("--n", flags->images, "pictures, drawn one after the other from the seed")
      ->check(CLI::Range(1, 1000));
  sub->add_option("--noise", flags->noise,
                  "FILE.npy: the start latent [channels, height / 8, width / 8] instead of the seed's");
  sub->add_option("--max-tokens", flags->max_tokens, "text: tokens to write at most")->check(CLI::Range(1, 1 << 28));
  sub->add_option("--temperature", flags->temperature, "text: 0 is greedy, which is all there is")
      ->check(CLI::Range(0.0, 100.0));
  sub->add_option("--prompt-ids", flags->prompt_ids, "text: the prompt as token ids, 5,17,9");
  sub->add_flag("--no-chat-template", flags->no_chat_template, "text: the prompt as it is");
  sub->add_flag("--ignore-eos", flags->ignore_eos, "text: go on to --max-tokens");
  sub->add_option("--dump-logits", flags->dump_logits,
                  "FILE.npy: text: the logits of every prompt position, [tokens, vocabulary] f32");
  sub->add_option("--taps", flags->taps, "DIR: write named intermediate tensors as .npy");
  sub->add_option("--taps-filter", flags->taps_filter, "GLOB: only tensors whose name matches")->needs("--taps");
  return [flags, sub] { return run(*sub, *flags); };
}

}  // namespace omni::cli
