// What an executable says about itself, from its manifest alone: no model is loaded.
#include <cstdio>
#include <cstdlib>
#include <map>

#include "../error.h"
#include "../printable.h"
#include "build-info.h"
#include "llama.h"
#include "verbs.h"

namespace ingot::verbs {

using nlohmann::json;

static std::string human_size(uint64_t bytes) {
    static const char * units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    double value = (double) bytes;
    int    unit  = 0;
    for (; value >= 1024 && unit < 4; ++unit) value /= 1024;
    char text[32];
    std::snprintf(text, sizeof text, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
    return text;
}

static std::string human_count(const std::string & digits) {
    const double n = std::strtod(digits.c_str(), nullptr);
    char text[32];
    if (n >= 1e9) std::snprintf(text, sizeof text, "%.1f B", n / 1e9);
    else if (n >= 1e6) std::snprintf(text, sizeof text, "%.1f M", n / 1e6);
    else std::snprintf(text, sizeof text, "%.0f", n);
    return text;
}

static const Bundle & need(const Bundle * bundle) {
    if (!bundle) throw Failure(EXIT_INPUT, "this is a bare runtime without a model in it", "make an executable with: ingot build MODEL.gguf");
    return *bundle;
}

static void row(const char * label, const std::string & value) {
    if (!value.empty()) std::printf("%-14s %s\n", label, printable(value).c_str());
}

static std::string path_in(const json & document, std::initializer_list<const char *> keys) {
    const json * at = &document;
    for (const char * key : keys) {
        if (!at->is_object() || !at->contains(key)) return "";
        at = &at->at(key);
    }
    return at->is_string() ? at->get<std::string>() : at->is_null() ? "" : at->dump();
}

static void print_entries(const Manifest & manifest) {
    std::printf("\n%-44s %-10s %12s\n", "entry", "role", "size");
    for (const auto & entry : manifest.entries) {
        const auto & role = entry.role;
        if (role == "ui" || role == "license" || role == "source" || role == "hashes") continue;
        std::printf("%-44s %-10s %12s\n", printable(entry.name).c_str(), printable(entry.role).c_str(), human_size(entry.size).c_str());
    }
    for (const char * role : {"license", "ui", "source"}) {
        uint64_t bytes = 0;
        const auto entries = manifest.all(role);
        for (const auto * entry : entries) bytes += entry->stored;
        if (!entries.empty()) {
            std::printf("%-44s %-10s %12s\n", (std::to_string(entries.size()) + (entries.size() == 1 ? " file" : " files")).c_str(), role, human_size(bytes).c_str());
        }
    }
}

// How the recipe's tests ended, if that was recorded.
static std::string tests_line(const json & document) {
    const auto tests = document.find("tests");
    if (tests == document.end() || !tests->is_array()) return "";
    size_t passed = 0;
    for (const auto & test : *tests) passed += test.is_object() && test.value("passed", json()) == true;
    return std::to_string(passed) + " of " + std::to_string(tests->size()) + " passed where it was built";
}

int info(const Bundle * bundle, Args user) {
    const Manifest & manifest = need(bundle).manifest;
    if (take_flag(user, {"--json"})) {
        std::puts(manifest.document.dump(2).c_str());
        return EXIT_DONE;
    }
    const json & doc = manifest.document;
    row("name", manifest.name);
    row("description", path_in(doc, {"description"}));
    row("version", path_in(doc, {"version"}));
    row("homepage", path_in(doc, {"homepage"}));
    row("model", manifest.model_fact("name"));
    row("architecture", manifest.model_fact("architecture"));
    row("parameters", human_count(manifest.model_fact("parameters")));
    row("quantization", manifest.model_fact("quantization"));
    row("context", manifest.model_fact("context_length") + " tokens");
    row("license", manifest.model_fact("license"));
    row("target", manifest.target);
    row("engine", path_in(doc, {"engine", "package"}) + " " + path_in(doc, {"engine", "version"}) + ", llama.cpp " + path_in(doc, {"engine", "commit"}));
    row("built by", path_in(doc, {"builder", "name"}) + " " + path_in(doc, {"builder", "version"}));
    row("file size", human_size(manifest.file_size));
    std::string args;
    for (const auto & arg : manifest.default_args) args += (args.empty() ? "" : " ") + arg;
    row("defaults", args);
    row("tests", tests_line(doc));
    print_entries(manifest);
    return EXIT_DONE;
}

int licenses(const Bundle * bundle, Args user) {
    const Bundle & own = need(bundle);
    for (const Entry * entry : own.manifest.all("license")) {
        const auto text = own.read(*entry);
        const std::string shown = printable_text(std::string(text.begin(), text.end()));
        std::printf("==== %s ====\n\n%s\n\n", printable(entry->name).c_str(), shown.c_str());
        check_output();
    }
    return EXIT_DONE;
}

static int print_entry(const Bundle & own, const char * role, const char * what, const char * hint) {
    const Entry * entry = own.manifest.first(role);
    if (!entry) throw Failure(EXIT_INPUT, std::string("this executable carries no ") + what, hint);
    const auto text = own.read(*entry);
    std::fwrite(text.data(), 1, text.size(), stdout);
    return EXIT_DONE;
}

int sbom(const Bundle * bundle, Args) {
    const Bundle & own = need(bundle);
    return print_entry(own, "sbom", "SBOM", ("put one in with: ingot repack " + own.manifest.name).c_str());
}

int recipe(const Bundle * bundle, Args) {
    return print_entry(need(bundle), "recipe", "recipe", "only what 'ingot build RECIPE.toml' made has one inside");
}

int version(const Bundle * bundle, Args user) {
    if (bundle) {
        const json & doc = bundle->manifest.document;
        const std::string own = path_in(doc, {"version"});
        const std::string name = bundle->manifest.name + (own.empty() ? "" : " ") + own;
        const std::string builder = path_in(doc, {"builder", "name"}) + " " + path_in(doc, {"builder", "version"});
        std::printf("%s (%s)\n", printable(name).c_str(), printable(builder).c_str());
    }
    llama_print_build_info(llama_version(), stdout);
    return EXIT_DONE;
}

static void print_model_line(const Bundle & bundle) {
    const Manifest & manifest = bundle.manifest;
    std::string facts;
    const auto add = [&](const std::string & fact) { facts += fact.empty() ? "" : (facts.empty() ? "" : ", ") + fact; };
    add(manifest.model_fact("architecture"));
    const std::string parameters = manifest.model_fact("parameters");
    if (!parameters.empty()) add(human_count(parameters) + " parameters");
    add(manifest.model_fact("quantization"));
    if (const Entry * weights = manifest.first("model")) add(human_size(weights->size));
    const std::string context = manifest.model_fact("context_length");
    if (!context.empty()) add("context " + context);
    const std::string license = manifest.model_fact("license");
    add(license.empty() ? "licence not stated" : "licence " + license);
    const std::string name = manifest.model_fact("name");
    std::printf("%s: %s (%s)\n", printable(manifest.name).c_str(), name.empty() ? "a language model" : printable(name).c_str(),
                printable(facts).c_str());
    const std::string description = path_in(manifest.document, {"description"});
    if (!description.empty()) std::printf("%s\n", printable(description).c_str());
}

// The engine prints its own options, so that they are always those it has.
static int engine_help(const Bundle * bundle, const std::string & verb) {
    static const std::map<std::string, int (*)(const Bundle *, Args)> verbs = {
        {"chat", serve}, {"serve", serve}, {"complete", complete}, {"embed", embed}, {"bench", bench}, {"perplexity", perplexity}};
    const auto found = verbs.find(verb);
    if (found == verbs.end()) throw Failure(EXIT_USAGE, "there is no further help on '" + verb + "'", "try help alone");
    return found->second(bundle, {"--help"});
}

int help(const Bundle * bundle, Args user) {
    if (!user.empty() && user[0][0] != '-') return engine_help(bundle, user[0]);
    const std::string me = bundle ? "./" + printable(bundle->manifest.name) : "ingot-runtime";
    if (bundle) print_model_line(*bundle);
    else std::puts("The bare Ingot runtime: it carries no model; name one with -m MODEL.gguf.");
    std::printf(R"(
usage: %s [COMMAND] [engine options]

  (no command)   on a terminal: chat, and a web page at an address it prints
  chat           the same, by name
  serve          web page and OpenAI-compatible server   [--port 8080] [--host 127.0.0.1]
  complete       continue a text: -p TEXT, -p - (standard input), -f FILE   [-n TOKENS]
  embed          sentence vectors: -p TEXT ..., or a line each on standard input   [--json]
  tokenize       tokens of a text: -p TEXT   [--ids] [--json] [--no-bos]
  bench          speed on this machine
  perplexity     quality on a text: -f FILE
  trace          logits, layers, greedy choices as numbers: --job FILE; for ingot compare
  info           what is inside   [--json]
  verify         check the program and every entry against the manifest   [--json]
                 [--answers]: also whether the model still says what it said where it was built
  extract        take entries out: [-o FOLDER] [NAME ...]
  kernels        what the model asks of a GPU: ops, tensor types, head sizes   [--json]
  licenses       licences of the model and of the software inside
  sbom           what all of it is made of, as CycloneDX JSON
  recipe         what it was built from, as JSON: for ingot rebuild
  recompile      make this model's GPU module on this machine, once; also --recompile --iq
  doctor         GPUs, modules, why which is used, what ran where   [--json] [--quick]
  version, help

GPU: --gpu auto|nvidia|amd|vulkan|none, --require-gpu, --nocompile, --cache-dir FOLDER; recompile takes
--nvcc, --hipcc and --host-compiler PATH.
--deterministic: the same answer at every run, by fixed seed, batches and threads.
-p TEXT alone completes; --server, --chat and --cli work as in llamafile.
Engine options are llama.cpp's: -c N (context), -n N (tokens), -t N (threads), -ngl N
(layers on a GPU), --temp T, --seed S, --api-key KEY, -m OTHER.gguf (another model), -v (log).
All of them: %s help COMMAND, for chat, serve, complete, embed, bench and perplexity.
Exit codes: 0 done, 1 the answer is no, 2 usage, 3 input, 5 damaged file,
6 compiler, 7 GPU, 130 interrupted.
)", me.c_str(), me.c_str());
    return EXIT_DONE;
}

}  // namespace ingot::verbs
