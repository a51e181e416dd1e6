#include <cstdio>
#include <exception>
#include <iostream>
#include <new>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "commands.h"

namespace {

int report(const char* message, int code) {
  std::fprintf(stderr, "omni: error: %s\n", message);
  return code;
}

int run(int argc, char** argv) {
  CLI::App app{"omni: loads, quantizes, runs and proves image, text and omni models"};
  app.set_version_flag("--version", OMNI_VERSION);
  app.require_subcommand(1);
  app.get_formatter()->column_width(36);

  std::vector<omni::cli::Command> commands;
  const auto add = [&](omni::cli::Command command) { commands.push_back(std::move(command)); };
  add(omni::cli::add_bench(app));
  add(omni::cli::add_generate(app));
  add(omni::cli::add_inspect(app));
  add(omni::cli::add_methods(app));
  add(omni::cli::add_models(app));
  add(omni::cli::add_plan(app));
  add(omni::cli::add_quantize(app));
  add(omni::cli::add_verify(app));
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& e) {
    return app.exit(e, std::cout, std::cerr);
  } catch (const CLI::ParseError& e) {
    return report(e.what(), 2);
  }
  const auto subs = app.get_subcommands([](CLI::App*) { return true; });
  for (size_t i = 0; i < subs.size(); ++i) {
    if (subs[i]->parsed()) return commands[i]();
  }
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const omni::Error& e) {
    return report(e.what(), e.fault() == omni::Fault::kUsage ? 2 : 1);
  } catch (const std::bad_alloc&) {
    return report("memory: none left (expected a smaller size, or a smaller format)", 1);
  } catch (const std::exception& e) {
    return report(e.what(), 1);
  }
}
