/* A PKCS#11 library in front of another one ($SHIM_TARGET). It appends the name of each watched function to
 * $SHIM_FOLDER/calls and fails as files in that folder say:
 *   NAME.once   returns the hexadecimal value in the file, and removes the file
 *   NAME.rv     returns the value as long as the file is there
 *   NAME.hang   does not return as long as the file is there
 *   Sign.flip   changes one bit of the signature */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef unsigned long ulong_t;
typedef ulong_t (*function_t)();
/* CK_FUNCTION_LIST of PKCS#11 2.40: a version, then 68 functions in the order of the header. */
struct list { unsigned char version[2]; function_t functions[68]; };
enum { INITIALIZE = 0, FINALIZE = 1, OPEN_SESSION = 12, CLOSE_SESSION = 13, LOGIN = 18, SIGN_INIT = 42, SIGN = 43 };

static struct list real, ours;

static void place(char *path, const char *name, const char *suffix) {
    snprintf(path, 512, "%s/%s%s", getenv("SHIM_FOLDER"), name, suffix);
}

static int value(const char *path, ulong_t *rv) {
    FILE *file = fopen(path, "r");
    if (!file) return 0;
    int found = fscanf(file, "%lx", rv) == 1;
    fclose(file);
    return found;
}

static ulong_t fault(const char *name) {
    char path[512], line[64];
    ulong_t rv = 0;
    place(path, "calls", "");
    int log = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    int length = snprintf(line, sizeof line, "%s\n", name);
    if (log < 0 || write(log, line, length) != length) abort();
    close(log);
    place(path, name, ".hang");
    while (access(path, F_OK) == 0) usleep(5000);
    place(path, name, ".once");
    if (value(path, &rv) && unlink(path) == 0) return rv;
    place(path, name, ".rv");
    if (value(path, &rv)) return rv;
    return 0;
}

static ulong_t initialize(void *arguments) {
    ulong_t rv = fault("Initialize");
    return rv ? rv : real.functions[INITIALIZE](arguments);
}

static ulong_t finalize(void *reserved) {
    ulong_t rv = fault("Finalize");
    return rv ? rv : real.functions[FINALIZE](reserved);
}

static ulong_t open_session(ulong_t slot, ulong_t flags, void *context, void *notify, ulong_t *session) {
    ulong_t rv = fault("OpenSession");
    /* CKF_RW_SESSION: as AWS CloudHSM, which answers CKR_FUNCTION_FAILED without it. */
    if (!(flags & 2)) return 0x06;
    return rv ? rv : real.functions[OPEN_SESSION](slot, flags, context, notify, session);
}

static ulong_t close_session(ulong_t session) {
    ulong_t rv = fault("CloseSession");
    return rv ? rv : real.functions[CLOSE_SESSION](session);
}

static ulong_t login(ulong_t session, ulong_t user, unsigned char *pin, ulong_t length) {
    ulong_t rv = fault("Login");
    return rv ? rv : real.functions[LOGIN](session, user, pin, length);
}

static ulong_t sign_init(ulong_t session, void *mechanism, ulong_t key) {
    ulong_t rv = fault("SignInit");
    return rv ? rv : real.functions[SIGN_INIT](session, mechanism, key);
}

static ulong_t sign(ulong_t session, unsigned char *data, ulong_t length, unsigned char *signature, ulong_t *out) {
    /* Without a place for the signature it is the question for its length. */
    if (!signature) return real.functions[SIGN](session, data, length, signature, out);
    ulong_t rv = fault("Sign");
    if (rv) return rv;
    rv = real.functions[SIGN](session, data, length, signature, out);
    char path[512];
    place(path, "Sign", ".flip");
    if (rv == 0 && access(path, F_OK) == 0) signature[40] ^= 1;
    return rv;
}

ulong_t C_GetFunctionList(struct list **list) {
    void *library = dlopen(getenv("SHIM_TARGET"), RTLD_NOW | RTLD_LOCAL);
    if (!library) return 0x05;
    function_t get = (function_t)dlsym(library, "C_GetFunctionList");
    struct list *target;
    ulong_t rv = get(&target);
    if (rv) return rv;
    memcpy(&real, target, sizeof real);
    memcpy(&ours, target, sizeof ours);
    ours.functions[INITIALIZE] = (function_t)initialize;
    ours.functions[FINALIZE] = (function_t)finalize;
    ours.functions[OPEN_SESSION] = (function_t)open_session;
    ours.functions[CLOSE_SESSION] = (function_t)close_session;
    ours.functions[LOGIN] = (function_t)login;
    ours.functions[SIGN_INIT] = (function_t)sign_init;
    ours.functions[SIGN] = (function_t)sign;
    *list = &ours;
    return 0;
}
