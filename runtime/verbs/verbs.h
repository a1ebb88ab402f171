// One verb, one function: the user's remaining arguments in, the exit code out. What goes
// wrong is thrown as Failure and printed by main().
#pragma once

#include "../args.h"
#include "../bundle.h"

namespace ingot::verbs {

// Where the engine does the work (serve.cc, complete.cc, tools.cc).
int chat(const Bundle * bundle, Args user);
int serve(const Bundle * bundle, Args user);
int complete(const Bundle * bundle, Args user);
int embed(const Bundle * bundle, Args user);
int tokenize(const Bundle * bundle, Args user);
int bench(const Bundle * bundle, Args user);
int perplexity(const Bundle * bundle, Args user);
int trace(const Bundle * bundle, Args user);

// What an executable says about itself (about.cc, verify.cc, extract.cc).
int info(const Bundle * bundle, Args user);
int licenses(const Bundle * bundle, Args user);
int sbom(const Bundle * bundle, Args user);
int recipe(const Bundle * bundle, Args user);
int version(const Bundle * bundle, Args user);
int help(const Bundle * bundle, Args user);
int verify(const Bundle * bundle, Args user);
int extract(const Bundle * bundle, Args user);

// GPU modules (recompile.cc, doctor.cc).
int recompile(const Bundle * bundle, Args user);
int doctor(const Bundle * bundle, Args user);

// What a GPU module must offer for a model (kernels.cc).
int kernels(const Bundle * bundle, Args user);

// What the builder asks before it writes an executable; not listed by help (check_model.cc, check_args.cc).
int check_model(const Bundle * bundle, Args user);
int check_args(const Bundle * bundle, Args user);

}  // namespace ingot::verbs
