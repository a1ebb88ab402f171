// See loader.cc.
#pragma once

namespace ingot {

// Why there is no Vulkan on this machine, in the words of the dynamic linker; empty if there is.
const char * vulkan_problem();

}  // namespace ingot
