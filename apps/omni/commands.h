#pragma once
#include <CLI/CLI.hpp>

// One function a command: adds its subcommand and flags to the program; the returned function runs it and gives the
// exit code (0 done, 1 the job failed or a gate was not met). Errors are thrown as omni::Error and printed by main.
namespace omni::cli {

using Command = std::function<int()>;

Command add_bench(CLI::App& app);
Command add_generate(CLI::App& app);
Command add_inspect(CLI::App& app);
Command add_methods(CLI::App& app);
Command add_models(CLI::App& app);
Command add_plan(CLI::App& app);
Command add_quantize(CLI::App& app);
Command add_verify(CLI::App& app);

}  // namespace omni::cli
