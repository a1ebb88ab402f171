// A server of several models (llama.cpp's router mode), of which the carried one is one. Each model that
// is asked for gets a process of its own: this program again, with the verb serve.
#pragma once

#include "../args.h"
#include "../bundle.h"
#include "common.h"

namespace ingot::router {

// True when the arguments or the environment ask for a router. Throws Failure when they also name
// one model.
bool asked_for(const Bundle * bundle, const Args & user);

// True in a process that a router has started for one of its models.
bool is_child();

// True in one that only fetches a model into the cache.
bool is_downloading();

// The user's arguments without "-m bundle:main", by which a router asks a child for the carried model.
Args without_own_model(const Args & user);

// Argument vector of the router itself: nothing about any one model.
Args compose(const Bundle * bundle, const Args & extra, const Args & user);

// What the router's parameters need beside: the carried model is listed.
void prepare(const Bundle * bundle, common_params & params);

}  // namespace ingot::router

// In place of fs_list where the engine lists a folder of models.
std::vector<common_file_info> ingot_fs_list(const std::string & path, bool folders);
