// Which chat template a model's messages go through, and what is wrong with it if it cannot be used.
#pragma once

#include <string>

#include "chat.h"

namespace ingot::templates {

struct Use {
    bool own_model;  // the carried one, for which Ingot has a fallback of its own
    bool jinja;      // --no-jinja was not given
    bool chat;       // the model answers chats; an embedding model's template is not tried out
    bool loud;       // the engine's log was asked for
};

// To be called before the engine's server starts.
void prepare(const Use & use);

// Completion is to go on without the model's template: no chat was asked for.
void leave_out();

// A template: `text`, or the model's own where that is blank; with `text`, the model may be null.
struct Source {
    const llama_model * model;
    std::string         text;
    std::string         bos, eos;
};

// Why the engine cannot use it, with `chat` also for one message of a user; "" when it can. Tried in a process of
// its own, since a template may recurse or loop without end.
std::string fault(const Source & source, bool chat);

// The same of the template that a server would choose for a model which it carries; "" when there is none.
std::string fault_of(const llama_model & model);

// Why the template of the model that the server loaded cannot be used; "" when it can.
const std::string & refusal();

}  // namespace ingot::templates

// In place of common_chat_templates_init in the engine's server and in its completion.
common_chat_templates_ptr ingot_server_templates(const llama_model * model, const std::string & asked,
                                                 const std::string & bos, const std::string & eos);
common_chat_templates_ptr ingot_completion_templates(const llama_model * model, const std::string & asked,
                                                     const std::string & bos, const std::string & eos);
