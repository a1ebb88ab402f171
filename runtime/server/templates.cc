#include "templates.h"

#include <algorithm>
#include <cctype>
#include <new>
#include <stdexcept>

#include "../os.h"
#include "llama.h"
#include "log.h"

namespace ingot::templates {

// For a model that brings no chat template: the messages, one after another. The engine's
// own fallback is ChatML, whose markers such a model has never seen, and whose generation
// prompt breaks JSON by schema with SentencePiece vocabularies. Without Jinja there is no way
// to write it down, and the engine's fallback serves.
static const std::string PLAIN = "{% for message in messages %}{{ message['content'] }}\n{% endfor %}";
static const std::string CHATML = "chatml";

// For one try, which takes a few ms.
static constexpr int      SECONDS = 10;
static constexpr uint64_t BYTES   = 1 << 30;

static Use         use{};
static std::string reason;
static bool        left_out = false;

void leave_out() { left_out = true; }
void prepare(const Use & wanted) { use = wanted; }
const std::string & refusal() { return reason; }

static bool blank(const std::string & text) {
    return std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isspace(c); });
}

static std::string of_model(const llama_model * model, const char * name) {
    const char * text = llama_model_chat_template(model, name);
    return text ? text : "";
}

// The template to be used in place of the model's own; "" leaves the choice to the engine. A blank
// template is none: it would swallow every message.
static std::string replacement(const llama_model * model, const std::string & asked) {
    if (!blank(asked)) return asked;
    const std::string own = of_model(model, nullptr);
    if (!blank(own)) return "";
    const std::string tools = of_model(model, "tool_use");
    if (!blank(tools)) return tools;
    if (use.own_model && use.jinja) return PLAIN;
    return own.empty() ? "" : CHATML;
}

// common_chat_templates_init() would lose the parser's reason.
static void parse(const std::string & text) { common_chat_template(text, "", ""); }

// Throws when a message of the user's cannot be given to the model.
static void try_out(const common_chat_templates * templates) {
    common_chat_msg message;
    message.role    = "user";
    message.content = "aardvark";
    common_chat_templates_inputs inputs;
    inputs.messages = {message};
    std::string prompt = common_chat_templates_apply(templates, inputs).prompt;
    const auto lower = [](unsigned char c) { return (char) std::tolower(c); };
    std::transform(prompt.begin(), prompt.end(), prompt.begin(), lower);
    if (prompt.find(message.content) == std::string::npos) throw std::runtime_error("it leaves out what the user says");
}

// The one line of an exception's text that says why: the last one where the engine had a problem of its own with
// the template's, else the first, without the place in the template that follows.
static std::string reason_of(const std::string & text) {
    static const std::string ERROR = "\nError: ";
    const size_t error = text.rfind(ERROR);
    const size_t from  = error == std::string::npos ? 0 : error + ERROR.size();
    std::string line = text.substr(from, text.find('\n', from) - from);
    while (!line.empty() && (line.back() == ':' || std::isspace((unsigned char) line.back()))) line.pop_back();
    return line.empty() ? "it cannot be rendered" : line;
}

static std::string fault_here(const Source & source, bool chat) {
    try {
        const std::string & asked = source.text;
        if (!blank(asked) && asked != CHATML) parse(asked);
        if (blank(asked) && source.model) parse(of_model(source.model, nullptr));
        const auto templates = common_chat_templates_init(source.model, asked, source.bos, source.eos);
        if (chat) try_out(templates.get());
        return "";
    } catch (const std::bad_alloc &) {
        return "it takes too much memory";
    } catch (const std::exception & error) {
        return reason_of(error.what());
    }
}

std::string fault(const Source & source, bool chat) {
    std::string why;
    const auto answer = os::answer_of([&] {
        os::limit_memory(BYTES);
        return fault_here(source, chat);
    }, SECONDS, why);
    if (answer) return *answer;
    // A process that could not be started says nothing about the template.
    return why.rfind("it ", 0) == 0 ? why : "";
}

std::string fault_of(const llama_model & model) {
    const std::string text = replacement(&model, "");
    if (text.empty() && blank(of_model(&model, nullptr))) return "";
    return fault({&model, text}, /*chat*/ true);
}

static common_chat_templates_ptr checked(const Source & source) {
    const std::string text = replacement(source.model, source.text);
    const std::string wrong = fault({source.model, text, source.bos, source.eos}, use.chat && use.jinja);
    if (!wrong.empty()) throw std::runtime_error(wrong);
    return common_chat_templates_init(source.model, text, source.bos, source.eos);
}

}  // namespace ingot::templates

using namespace ingot::templates;

common_chat_templates_ptr ingot_server_templates(const llama_model * model, const std::string & asked,
                                                 const std::string & bos, const std::string & eos) {
    try {
        return checked({model, asked, bos, eos});
    } catch (const std::exception & error) {
        reason = reason_of(error.what());
        // The engine gives up now, in ten lines of its log; serve.cc says it in one.
        if (!use.loud) common_log_set_verbosity_thold(LOG_LEVEL_OUTPUT);
        throw;
    }
}

// A text is continued without any template, so that a broken one must not stand in the way.
common_chat_templates_ptr ingot_completion_templates(const llama_model * model, const std::string & asked,
                                                     const std::string & bos, const std::string & eos) {
    const bool usable = !left_out && fault({model, asked, bos, eos}, /*chat*/ false).empty();
    return common_chat_templates_init(model, usable ? asked : CHATML, bos, eos);
}
