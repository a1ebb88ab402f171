#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "../failure.h"
#include "../memory.h"
#include "../ptx.h"
#include "decoder.h"
#include "text.h"

namespace emulator {

int arch_of(const std::string & text) {
    static const std::string directive = ".target sm_";
    const size_t             at        = text.find(directive);
    return at == std::string::npos ? 0 : std::atoi(text.c_str() + at + directive.size());
}

// --- modules

// Statements at the outermost level: variables, and functions with their bodies.
class ModuleReader {
public:
    ModuleReader(Module & module, const std::string & text) : module_(module), text_(without_comments(text)) {}

    void read() {
        while (skip_blanks()) {
            if (!skip_directive()) read_statement();
        }
    }

private:
    bool skip_blanks() {
        at_ = text_.find_first_not_of(" \t\r\n;", at_);
        return at_ != std::string::npos;
    }

    // Those that end with their line.
    bool skip_directive() {
        for (const char * directive : {".version", ".target", ".address_size", ".file", ".loc"}) {
            if (text_.compare(at_, std::strlen(directive), directive) != 0) continue;
            at_ = std::min(text_.find('\n', at_), text_.size());
            return true;
        }
        return false;
    }

    void read_statement() {
        size_t end = at_;
        int    depth = 0;
        bool   has_values = false;
        for (; end < text_.size(); ++end) {
            const char character = text_[end];
            if (character == '=') has_values = true;
            if (character == '(') ++depth;
            if (character == ')') --depth;
            if (character == ';' || (character == '{' && !has_values && depth == 0)) break;
        }
        const std::string head = text_.substr(at_, end - at_);
        if (end == text_.size()) emulator::fail("a PTX module that ends within a statement: " + head.substr(0, 100));
        at_ = end + 1;
        if (text_[end] == ';') {
            read_variable(head);
            return;
        }
        const std::string body = read_body(end);
        if (head.find(".entry") != std::string::npos) read_kernel(head, body);
    }

    // From its opening brace; leaves out both braces.
    std::string read_body(size_t open) {
        int    depth = 0;
        bool   quoted = false;
        size_t end = open;
        for (; end < text_.size(); ++end) {
            if (text_[end] == '"') quoted = !quoted;
            if (quoted) continue;
            if (text_[end] == '{') ++depth;
            if (text_[end] == '}' && --depth == 0) break;
        }
        if (end == text_.size()) emulator::fail("a PTX module that ends within a function");
        at_ = end + 1;
        return text_.substr(open + 1, end - open - 1);
    }

    void read_variable(const std::string & statement) {
        if (statement.find(".func") != std::string::npos) return;  // declared, not defined
        const Declaration made = declaration(statement);
        if (made.space == "shared") {
            module_.symbols_[made.name] = {Symbol::Space::shared, 0, made.size, made.size == 0};
        } else if (made.space == "global" || made.space == "const") {
            module_.symbols_[made.name] = {Symbol::Space::global, place(made), made.size, false};
        } else {
            emulator::fail("a PTX module with the unknown statement " + statement.substr(0, 100));
        }
    }

    uint64_t place(const Declaration & made) {
        const uint64_t size = std::max<uint64_t>(made.size, 8);
        void *         data = std::aligned_alloc(256, (size + 255) / 256 * 256);
        std::memset(data, 0, size);
        const uint32_t element = made.type.bytes();
        for (size_t i = 0; i < made.values.size(); ++i) {
            const uint64_t value = value_of(made.values[i], made.type);
            std::memcpy(static_cast<char *>(data) + i * element, &value, element);
        }
        memory().add(reinterpret_cast<uint64_t>(data), size, module_.device());
        return reinterpret_cast<uint64_t>(data);
    }

    // A number, or the address of a variable that came before.
    uint64_t value_of(const std::string & text, const Type & type) {
        if (is_number(text)) return number(text, type.bits);
        static const std::string generic = "generic(";
        const bool         has_generic = text.compare(0, generic.size(), generic) == 0;
        const std::string  name = has_generic ? text.substr(generic.size(), text.size() - generic.size() - 1) : text;
        const Symbol *     symbol = module_.symbol(name);
        if (!symbol) emulator::fail("no variable " + name + ", which another one begins with");
        return symbol->value;
    }

    static uint32_t directive(const std::string & head, const char * name) {
        const size_t found = head.find(name);
        if (found == std::string::npos) return 0;
        uint32_t product = 1;
        for (const auto & part : split(head.substr(found + std::strlen(name)), ',')) {
            const auto all = words(part);
            if (all.empty() || !is_number(all[0])) break;
            product *= static_cast<uint32_t>(std::strtoul(all[0].c_str(), nullptr, 10));
            if (all.size() > 1) break;  // the next directive follows
        }
        return product;
    }

    void read_kernel(const std::string & head, const std::string & body) {
        const size_t open  = head.find('(');
        const size_t close = head.find(')');
        const size_t name  = head.find(".entry") + std::strlen(".entry");
        const auto   all   = words(head.substr(name, open == std::string::npos ? open : open - name));
        if (all.empty()) emulator::fail("a PTX module with a kernel without a name");
        auto made = std::make_unique<Kernel>(all[0], &module_, body);
        if (open != std::string::npos) read_parameters(*made, head.substr(open + 1, close - open - 1));
        const std::string rest = open == std::string::npos ? head.substr(name) : head.substr(close + 1);
        made->max_threads      = std::max(directive(rest, ".maxntid"), directive(rest, ".reqntid"));
        made->min_blocks       = directive(rest, ".minnctapersm");
        module_.kernels_[made->name] = std::move(made);
    }

    static void read_parameters(Kernel & kernel, const std::string & text) {
        for (const auto & part : split(text, ',')) {
            if (words(part).empty()) continue;
            const Declaration made = declaration(part);
            uint32_t &        bytes = kernel.parameter_bytes;
            bytes = (bytes + made.alignment - 1) / made.alignment * made.alignment;
            kernel.parameters.push_back({made.name, bytes, static_cast<uint32_t>(made.size)});
            bytes += static_cast<uint32_t>(made.size);
        }
    }

    Module &          module_;
    const std::string text_;
    size_t            at_ = 0;
};

Module::Module(const std::string & text, int device) : arch_(arch_of(text)), device_(device) {
    if (arch_ == 0) fail("a module that is not PTX");
    ModuleReader(*this, text).read();
}

Module::~Module() {
    for (const auto & [name, symbol] : symbols_) {
        if (symbol.space != Symbol::Space::global) continue;
        memory().remove(symbol.value);
        std::free(reinterpret_cast<void *>(symbol.value));
    }
}

Kernel * Module::kernel(const std::string & name) const {
    const auto found = kernels_.find(name);
    return found == kernels_.end() ? nullptr : found->second.get();
}

const Symbol * Module::symbol(const std::string & name) const {
    const auto found = symbols_.find(name);
    return found == symbols_.end() ? nullptr : &found->second;
}

std::vector<std::string> Module::kernel_names() const {
    std::vector<std::string> names;
    for (const auto & item : kernels_) names.push_back(item.first);
    return names;
}

// --- kernels

Kernel::Kernel(std::string name_, Module * module_, std::string body)
    : name(std::move(name_)), module(module_), body_(std::move(body)) {}

Kernel::~Kernel() = default;

const Program & Kernel::program() {
    std::call_once(decoded_, [this] {
        program_ = std::make_unique<Program>();
        Decoder(*this, *program_).decode(body_);
        body_ = {};
    });
    return *program_;
}

uint32_t Kernel::shared_bytes() { return program().shared_bytes; }
uint32_t Kernel::local_bytes() { return program().local_bytes; }

}  // namespace emulator
