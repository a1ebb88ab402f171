#include "templates.h"

#include <algorithm>
#include <cctype>
#include <stdexcept>

#include "llama.h"
#include "log.h"

namespace ingot::templates {

// For a model that brings no chat template: the messages, one after another. The engine's
// own fallback is ChatML, whose markers such a model has never seen, and whose generation
// prompt breaks JSON by schema with SentencePiece vocabularies. Without Jinja there is no way
// to write it down, and the engine's fallback serves.
static const std::string PLAIN = "{% for message in messages %}{{ message['content'] }}\n{% endfor %}";
static const std::string CHATML = "chatml";

static Use         use{};
static std::string reason;

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

// The first line of an exception's text, without the place in the template that follows.
static std::string first_line(std::string text) {
    text = text.substr(0, text.find('\n'));
    while (!text.empty() && (text.back() == ':' || std::isspace((unsigned char) text.back()))) text.pop_back();
    return text;
}

static common_chat_templates_ptr checked(const llama_model * model, const std::string & asked, const std::string & bos,
                                         const std::string & eos) {
    const std::string text = replacement(model, asked);
    const std::string source = text.empty() ? of_model(model, nullptr) : text;
    if (!source.empty() && source != CHATML) parse(source);
    auto templates = common_chat_templates_init(model, text, bos, eos);
    if (use.chat && use.jinja) try_out(templates.get());
    return templates;
}

}  // namespace ingot::templates

using namespace ingot::templates;

common_chat_templates_ptr ingot_server_templates(const llama_model * model, const std::string & asked,
                                                 const std::string & bos, const std::string & eos) {
    try {
        return checked(model, asked, bos, eos);
    } catch (const std::exception & error) {
        reason = first_line(error.what());
        // The engine gives up now, in ten lines of its log; serve.cc says it in one.
        if (!use.loud) common_log_set_verbosity_thold(LOG_LEVEL_OUTPUT);
        throw;
    }
}

// A text is continued without any template, so that a broken one must not stand in the way.
common_chat_templates_ptr ingot_completion_templates(const llama_model * model, const std::string & asked,
                                                     const std::string & bos, const std::string & eos) {
    try {
        parse(blank(asked) ? of_model(model, nullptr) : asked);
    } catch (const std::exception &) {
        return common_chat_templates_init(model, CHATML, bos, eos);
    }
    return common_chat_templates_init(model, asked, bos, eos);
}
