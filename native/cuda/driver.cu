// The driver's calls, looked up in libcuda when first made: a module that was linked to it could
// not be loaded, and so not report its reasons, where no driver is installed.
#include <cuda.h>
#include <dlfcn.h>

static void * address(const char * name) {
    static void * const driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    return driver ? dlsym(driver, name) : nullptr;
}

#define INGOT_DRIVER_CALL(name, parameters, arguments)                                       \
    extern "C" CUresult CUDAAPI name parameters {                                            \
        static const auto call = reinterpret_cast<CUresult(CUDAAPI *) parameters>(address(#name)); \
        return call ? call arguments : CUDA_ERROR_NOT_FOUND;                                 \
    }

INGOT_DRIVER_CALL(cuDeviceGet, (CUdevice * device, int ordinal), (device, ordinal))
INGOT_DRIVER_CALL(cuDeviceGetAttribute, (int * value, CUdevice_attribute attribute, CUdevice device), (value, attribute, device))
INGOT_DRIVER_CALL(cuGetErrorString, (CUresult error, const char ** text), (error, text))
INGOT_DRIVER_CALL(cuMemAddressFree, (CUdeviceptr at, size_t size), (at, size))
INGOT_DRIVER_CALL(cuMemAddressReserve, (CUdeviceptr * at, size_t size, size_t alignment, CUdeviceptr wish, unsigned long long flags),
                  (at, size, alignment, wish, flags))
INGOT_DRIVER_CALL(cuMemCreate,
                  (CUmemGenericAllocationHandle * handle, size_t size, const CUmemAllocationProp * properties, unsigned long long flags),
                  (handle, size, properties, flags))
INGOT_DRIVER_CALL(cuMemGetAllocationGranularity,
                  (size_t * granularity, const CUmemAllocationProp * properties, CUmemAllocationGranularity_flags flags),
                  (granularity, properties, flags))
INGOT_DRIVER_CALL(cuMemMap, (CUdeviceptr at, size_t size, size_t offset, CUmemGenericAllocationHandle handle, unsigned long long flags),
                  (at, size, offset, handle, flags))
INGOT_DRIVER_CALL(cuMemRelease, (CUmemGenericAllocationHandle handle), (handle))
INGOT_DRIVER_CALL(cuMemSetAccess, (CUdeviceptr at, size_t size, const CUmemAccessDesc * access, size_t count), (at, size, access, count))
INGOT_DRIVER_CALL(cuMemUnmap, (CUdeviceptr at, size_t size), (at, size))
