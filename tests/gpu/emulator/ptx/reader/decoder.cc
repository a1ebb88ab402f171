#include "decoder.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "../executors/table.h"
#include "../failure.h"

namespace emulator {

static bool is_blank(char character) { return character == ' ' || character == '\t' || character == '\n' || character == '\r'; }
static bool begins(const std::string & text, const char * prefix) { return text.rfind(prefix, 0) == 0; }

void Decoder::fail(const std::string & what) const {
    Place place;
    place.kernel      = kernel_.name;
    place.instruction = current_;
    emulator::fail(what, place);
}

// --- names

const Decoder::Register * Decoder::find(const std::string & name) const {
    for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope) {
        const auto found = scope->find(name);
        if (found != scope->end()) return &found->second;
    }
    return nullptr;
}

uint32_t Decoder::new_register(bool wide) {
    const uint32_t offset = program_.register_bytes;
    program_.register_bytes += wide ? wide_register : narrow_register;
    return offset;
}

// ".reg .b32 %r<83>" or ".reg .b16 low, high".
void Decoder::declare_registers(const std::string & statement) {
    const auto  all  = words(statement);
    const bool  wide = all.size() > 1 && type_of(all[1].substr(1)).is_wide();
    std::string names;
    for (size_t i = 2; i < all.size(); ++i) names += all[i];
    for (const auto & name : split(names, ',')) {
        const size_t bracket = name.find('<');
        if (bracket == std::string::npos) {
            scopes_.back()[name] = {new_register(wide), wide};
            continue;
        }
        const int count = std::atoi(name.c_str() + bracket + 1);
        for (int i = 0; i < count; ++i) {
            scopes_.back()[name.substr(0, bracket) + std::to_string(i)] = {new_register(wide), wide};
        }
    }
}

static uint32_t place(uint32_t & bytes, const Declaration & made) {
    bytes = (bytes + made.alignment - 1) / made.alignment * made.alignment;
    const uint32_t offset = bytes;
    bytes += static_cast<uint32_t>(made.size);
    return offset;
}

void Decoder::declare_variable(const std::string & statement) {
    const Declaration made = declaration(statement);
    if (made.space == "local" || made.space == "param") {  // parameters of a call
        symbols_[made.name] = {Symbol::Space::local, place(program_.local_bytes, made), made.size, false};
    } else if (made.space == "shared") {
        symbols_[made.name] = {Symbol::Space::shared, place(program_.shared_bytes, made), made.size, false};
    }
}

// Shared variables of the module get their place in each kernel that uses them.
const Symbol * Decoder::symbol(const std::string & name) {
    const auto own = symbols_.find(name);
    if (own != symbols_.end()) return &own->second;
    for (const auto & parameter : kernel_.parameters) {
        if (parameter.name != name) continue;
        return &(symbols_[name] = {Symbol::Space::parameter, parameter.offset, parameter.size, false});
    }
    const Symbol * shared = kernel_.module->symbol(name);
    if (!shared || shared->space != Symbol::Space::shared) return shared;
    Symbol placed = *shared;
    if (!placed.dynamic) {
        Declaration made;
        made.alignment = 16;
        made.size      = placed.size;
        placed.value   = place(program_.shared_bytes, made);
    }
    return &(symbols_[name] = placed);
}

// --- operands

static const std::unordered_map<std::string, Special> & specials() {
    static const std::unordered_map<std::string, Special> names = {
        {"%tid.x", Special::tid_x},       {"%tid.y", Special::tid_y},       {"%tid.z", Special::tid_z},
        {"%ntid.x", Special::ntid_x},     {"%ntid.y", Special::ntid_y},     {"%ntid.z", Special::ntid_z},
        {"%ctaid.x", Special::ctaid_x},   {"%ctaid.y", Special::ctaid_y},   {"%ctaid.z", Special::ctaid_z},
        {"%nctaid.x", Special::nctaid_x}, {"%nctaid.y", Special::nctaid_y}, {"%nctaid.z", Special::nctaid_z},
        {"%laneid", Special::laneid},     {"%warpid", Special::warpid},     {"%nwarpid", Special::nwarpid},
        {"%smid", Special::smid},         {"%nsmid", Special::nsmid},       {"%clock", Special::clock},
        {"%envreg1", Special::envreg1},   {"%envreg2", Special::envreg2},
        {"%lanemask_eq", Special::lanemask_eq}, {"%lanemask_lt", Special::lanemask_lt},
        {"%lanemask_le", Special::lanemask_le}, {"%lanemask_gt", Special::lanemask_gt},
        {"%lanemask_ge", Special::lanemask_ge}, {"%dynamic_smem_size", Special::dynamic_smem_size},
    };
    return names;
}

Operand Decoder::constant(uint64_t value, bool wide) {
    const auto [found, is_new] = constants_.try_emplace({value, wide}, static_cast<uint32_t>(program_.constants.size()));
    if (is_new) {
        const size_t slot = wide ? 8 : 4;
        program_.constants.resize(found->second + 32 * slot);
        for (size_t lane = 0; lane < 32; ++lane) std::memcpy(&program_.constants[found->second + lane * slot], &value, slot);
    }
    return {found->second, 1, wide, false};
}

Operand Decoder::source(const std::string & text, bool wide) {
    if (const Register * found = find(text)) return {found->offset, 0, found->wide, false};
    const auto special = specials().find(text);
    if (special != specials().end()) return {offset_of(special->second), 0, false, false};
    if (text == "WARP_SZ") return constant(32, wide);
    if (is_number(text)) return constant(number(text, wide ? 64 : 32), wide);
    fail("no operand " + text);
}

Operand Decoder::predicate(const std::string & text) {
    if (is_number(text)) return constant(number(text, 32) ? ~0ull : 0, false);
    const bool       negated = text[0] == '!';
    const Register * found   = find(negated ? text.substr(1) : text);
    if (!found) fail("no predicate " + text);
    return {found->offset, 0, false, negated};
}

Operand Decoder::destination(const std::string & text) {
    if (text == "_") return {new_register(true), 0, true, false};
    const Register * found = find(text);
    if (!found) fail("no register " + text);
    return {found->offset, 0, found->wide, false};
}

static std::vector<std::string> members(const std::string & text) {
    if (text.empty() || text[0] != '{') return {text};
    return split(text.substr(1, text.size() - 2), ',');
}

std::vector<Operand> Decoder::sources(const std::string & text, bool wide) {
    std::vector<Operand> all;
    for (const auto & member : members(text)) all.push_back(source(member, wide));
    return all;
}

std::vector<Operand> Decoder::destinations(const std::string & text) {
    std::vector<Operand> all;
    for (const auto & member : members(text)) all.push_back(destination(member));
    return all;
}

Address Decoder::address(const std::string & text) {
    std::string name = text[0] == '[' ? text.substr(1, text.size() - 2) : text;
    Address     made;
    const size_t plus = name.find('+');
    if (plus != std::string::npos) {
        made.offset = std::strtoll(name.c_str() + plus + 1, nullptr, 0);
        name.resize(plus);
    }
    if (is_number(name) || is_register(name)) {
        made.operand = source(name, true);
        return made;
    }
    const Symbol * found = symbol(name);
    if (!found) fail("no variable " + name);
    made.offset += static_cast<int64_t>(found->value);
    made.dynamic = found->dynamic;
    switch (found->space) {
        case Symbol::Space::local: made.operand = {offset_of(Special::local_base), 0, true, false}; break;
        case Symbol::Space::parameter: made.operand = {offset_of(Special::parameter_base), 0, true, false}; break;
        case Symbol::Space::global:
        case Symbol::Space::shared: made.operand = constant(0, true); break;
    }
    return made;
}

// --- statements

// After "NAME:", which may be a list of branch targets; returns where to go on.
size_t Decoder::label(const std::string & body, const std::string & name, size_t at) {
    static const std::string list = ".branchtargets";
    while (at < body.size() && is_blank(body[at])) ++at;
    if (body.compare(at, list.size(), list) != 0) {
        labels_[name] = static_cast<uint32_t>(program_.code.size());
        return at;
    }
    const size_t end   = body.find(';', at);
    label_lists_[name] = split_operands(body.substr(at + list.size(), end - at - list.size()));
    return end + 1;
}

void Decoder::add_guard(const Statement & from, Instruction & into) {
    if (from.guard.empty()) return;
    into.guard         = static_cast<int32_t>(predicate(from.guard).offset);
    into.guard_negated = from.guard_negated;
}

void Decoder::add_branch(const Statement & from, Instruction & into) {
    const bool  is_table = from.opcode() == "brx";
    const auto  index    = static_cast<uint32_t>(program_.code.size());
    if (from.operands.empty() || (is_table && from.operands.size() < 2)) fail("a branch without a target");
    if (is_table) into.operands = {source(from.operands[0], false)};
    into.control = is_table ? Control::branch_table : Control::branch;
    branches_.emplace_back(index, from.operands[is_table]);
}

void Decoder::add(const std::string & text) {
    current_ = text;
    const Statement from = statement(text);
    Instruction     made;
    add_guard(from, made);
    if (from.opcode() == "bra" || from.opcode() == "brx") {
        add_branch(from, made);
    } else {
        const auto build = builders().find(from.opcode());
        if (build == builders().end() || !build->second(*this, from, made)) {
            std::string name = from.opcode();
            for (size_t i = 1; i < from.parts.size(); ++i) name += "." + from.parts[i];
            fail("no executor for the instruction " + name);
        }
    }
    program_.flushes_subnormals |= from.has("ftz");
    made.index = static_cast<uint32_t>(program_.code.size());
    program_.code.push_back(std::move(made));
    program_.texts.push_back(text);
}

void Decoder::resolve_branches() {
    const auto find_label = [&](const std::string & name) {
        const auto found = labels_.find(name);
        if (found == labels_.end()) fail("no label " + name);
        return found->second;
    };
    for (const auto & [index, name] : branches_) {
        Instruction & branch = program_.code[index];
        if (branch.control == Control::branch) {
            branch.target = find_label(name);
            continue;
        }
        branch.target = static_cast<uint32_t>(program_.tables.size());
        program_.tables.emplace_back();
        for (const auto & entry : label_lists_[name]) program_.tables.back().push_back(find_label(entry));
    }
}

// It follows the static, whose size is known at the end only.
void Decoder::place_dynamic_shared() {
    program_.shared_bytes = (program_.shared_bytes + 15) / 16 * 16;
    for (auto & instruction : program_.code) {
        if (instruction.dynamic_shared) instruction.immediate += program_.shared_bytes;
    }
}

void Decoder::decode(const std::string & body) {
    program_.register_bytes = offset_of(Special::count);
    scopes_.emplace_back();
    for (size_t at = 0; at < body.size();) {
        if (is_blank(body[at]) || body[at] == ';') {
            ++at;
        } else if (body[at] == '{') {
            scopes_.emplace_back();
            ++at;
        } else if (body[at] == '}') {
            scopes_.pop_back();
            ++at;
        } else {
            size_t end = at;
            // "kind::mxf4" has colons that end no label.
            while (end < body.size() && body[end] != ';' && body[end] != ':') end += body.compare(end + 1, 2, "::") == 0 ? 3 : 1;
            const std::string text = body.substr(at, end - at);
            if (end < body.size() && body[end] == ':') {
                at = label(body, words(text)[0], end + 1);
                continue;
            }
            at = end + 1;
            if (begins(text, ".reg")) {
                declare_registers(text);
            } else if (begins(text, ".local") || begins(text, ".shared") || begins(text, ".param")) {
                declare_variable(text);
            } else if (text[0] != '.') {
                add(text);
            } else if (!begins(text, ".pragma")) {
                current_ = text;
                fail("no directive of this name");
            }
        }
    }
    add("ret");
    resolve_branches();
    place_dynamic_shared();
}

}  // namespace emulator
