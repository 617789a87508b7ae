/* A PKCS#11 library in front of the one that the file "target" beside it names. It appends the name of each watched
 * function to the file "calls", and does as further files beside it say, where NAME is a function without its "C_":
 *   NAME.delay          returns so many microseconds later
 *   NAME.hang           does not return as long as the file is there
 *   NAME.rv             "RV TIMES ID": returns the hexadecimal RV so many times; a new ID counts anew
 *   OpenSession.write   refuses sessions that cannot write
 *   SignInit.key        signs with the private key of this label in place of the one that was asked for
 *   Sign.nonce          "R A B": returns R and A * digest + B, three scalars, in place of the signature
 *   Sign.high           brings s into the upper half of the order
 *   Sign.flip           changes one bit of the signature */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef unsigned long ulong_t;
typedef ulong_t (*function_t)();
/* CK_FUNCTION_LIST of PKCS#11 2.40: a version, then 68 functions in the order of the header. */
struct list { unsigned char version[2]; function_t functions[68]; };
enum {
    INITIALIZE = 0, FINALIZE = 1, OPEN_SESSION = 12, CLOSE_SESSION = 13, LOGIN = 18,
    FIND_INIT = 26, FIND = 27, FIND_FINAL = 28, SIGN_INIT = 42, SIGN = 43,
};
enum { OK = 0x00, FUNCTION_FAILED = 0x06, KEY_HANDLE_INVALID = 0x60, ARGUMENTS_BAD = 0x07 };

static struct list real, ours;
static pthread_mutex_t counting = PTHREAD_MUTEX_INITIALIZER;

/* Files. */

static void place(char *path, const char *name, const char *suffix) {
    Dl_info here;
    if (!dladdr((void *)place, &here)) abort();
    const char *end = strrchr(here.dli_fname, '/');
    int length = end ? (int)(end - here.dli_fname) : 1;
    snprintf(path, 1024, "%.*s/%s%s", length, end ? here.dli_fname : ".", name, suffix);
}

/* The text of a file, or 0 where there is none. */
static int text(const char *name, const char *suffix, char *into, size_t size) {
    char path[1024];
    place(path, name, suffix);
    FILE *file = fopen(path, "r");
    if (!file) return 0;
    size_t length = fread(into, 1, size - 1, file);
    into[length] = 0;
    fclose(file);
    return 1;
}

static int is_on(const char *name, const char *suffix) {
    char path[1024];
    place(path, name, suffix);
    return access(path, F_OK) == 0;
}

static void count_call(const char *name) {
    char path[1024], line[64];
    place(path, "calls", "");
    int log = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    int length = snprintf(line, sizeof line, "%s\n", name);
    if (log < 0 || write(log, line, length) != length) abort();
    close(log);
}

/* What this call of a function returns in place of the truth; 0 for the truth. */
struct watched { const char *name; ulong_t id, used; };

static ulong_t fault(struct watched *function) {
    char line[128];
    ulong_t rv = OK, times = 0, id = 0;
    count_call(function->name);
    if (text(function->name, ".delay", line, sizeof line)) usleep(strtoul(line, 0, 10));
    while (is_on(function->name, ".hang")) usleep(2000);
    if (!text(function->name, ".rv", line, sizeof line)) return OK;
    if (sscanf(line, "%lx %lu %lu", &rv, &times, &id) != 3) abort();
    pthread_mutex_lock(&counting);
    if (function->id != id) *function = (struct watched){function->name, id, 0};
    if (function->used < times) function->used++;
    else rv = OK;
    pthread_mutex_unlock(&counting);
    return rv;
}

/* Scalars: numbers of 256 bits, the lowest limb first. */

typedef uint64_t scalar_t[4];
static const scalar_t ORDER = {0xbfd25e8cd0364141, 0xbaaedce6af48a03b, 0xfffffffffffffffe, 0xffffffffffffffff};

static int add(scalar_t sum, const scalar_t a, const scalar_t b) {
    unsigned __int128 carry = 0;
    for (int i = 0; i < 4; i++, carry >>= 64) sum[i] = (uint64_t)(carry += (unsigned __int128)a[i] + b[i]);
    return carry != 0;
}

static int subtract(scalar_t difference, const scalar_t a, const scalar_t b) {
    int borrow = 0;
    for (int i = 0; i < 4; i++) {
        unsigned __int128 limb = (unsigned __int128)a[i] - b[i] - borrow;
        difference[i] = (uint64_t)limb;
        borrow = (limb >> 64) != 0;
    }
    return borrow;
}

static void add_in_field(scalar_t sum, const scalar_t a, const scalar_t b) {
    scalar_t whole, reduced;
    int carry = add(whole, a, b);
    int below = subtract(reduced, whole, ORDER);
    memcpy(sum, carry || !below ? reduced : whole, sizeof whole);
}

static void read_bytes(scalar_t number, const unsigned char *bytes) {
    memset(number, 0, sizeof(scalar_t));
    for (int i = 0; i < 32; i++) number[3 - i / 8] = number[3 - i / 8] << 8 | bytes[i];
}

static void write_bytes(unsigned char *bytes, const scalar_t number) {
    for (int i = 0; i < 32; i++) bytes[i] = (unsigned char)(number[3 - i / 8] >> (56 - i % 8 * 8));
}

static void read_hex(scalar_t number, const char *digits) {
    unsigned char bytes[32];
    for (int i = 0; i < 32; i++) if (sscanf(digits + 2 * i, "%2hhx", &bytes[i]) != 1) abort();
    read_bytes(number, bytes);
}

/* R and A * digest + B, by doubling and adding. */
static void use_one_nonce(unsigned char *signature, const unsigned char *data, const char *three) {
    scalar_t r, a, s, digest, product = {0};
    read_hex(r, three);
    read_hex(a, three + 65);
    read_hex(s, three + 130);
    read_bytes(digest, data);
    for (int bit = 255; bit >= 0; bit--) {
        add_in_field(product, product, product);
        if (digest[bit / 64] >> bit % 64 & 1) add_in_field(product, product, a);
    }
    add_in_field(s, s, product);
    write_bytes(signature, r);
    write_bytes(signature + 32, s);
}

static void raise_s(unsigned char *signature) {
    scalar_t s, other, unused;
    read_bytes(s, signature + 32);
    subtract(other, ORDER, s);
    if (subtract(unused, s, other)) write_bytes(signature + 32, other);
}

/* Functions. */

static ulong_t initialize(void *arguments) {
    static struct watched watched = {"Initialize"};
    ulong_t rv = fault(&watched);
    return rv ? rv : real.functions[INITIALIZE](arguments);
}

static ulong_t finalize(void *reserved) {
    static struct watched watched = {"Finalize"};
    ulong_t rv = fault(&watched);
    return rv ? rv : real.functions[FINALIZE](reserved);
}

static ulong_t open_session(ulong_t slot, ulong_t flags, void *context, void *notify, ulong_t *session) {
    static struct watched watched = {"OpenSession"};
    ulong_t rv = fault(&watched);
    if (!rv && !(flags & 2) && is_on("OpenSession", ".write")) return FUNCTION_FAILED;
    return rv ? rv : real.functions[OPEN_SESSION](slot, flags, context, notify, session);
}

static ulong_t close_session(ulong_t session) {
    static struct watched watched = {"CloseSession"};
    ulong_t rv = fault(&watched);
    return rv ? rv : real.functions[CLOSE_SESSION](session);
}

static ulong_t login(ulong_t session, ulong_t user, unsigned char *pin, ulong_t length) {
    static struct watched watched = {"Login"};
    ulong_t rv = fault(&watched);
    return rv ? rv : real.functions[LOGIN](session, user, pin, length);
}

static ulong_t find_private_key(ulong_t session, char *label, ulong_t *key) {
    ulong_t class = 3, found = 0;
    struct { ulong_t type; void *value; ulong_t length; } wanted[] = {{0, &class, sizeof class}, {3, label, strlen(label)}};
    ulong_t rv = real.functions[FIND_INIT](session, wanted, 2UL);
    if (rv) return rv;
    rv = real.functions[FIND](session, key, 1UL, &found);
    real.functions[FIND_FINAL](session);
    return rv || found ? rv : KEY_HANDLE_INVALID;
}

static ulong_t sign_init(ulong_t session, void *mechanism, ulong_t key) {
    static struct watched watched = {"SignInit"};
    char label[128];
    ulong_t rv = fault(&watched);
    if (!rv && text("SignInit", ".key", label, sizeof label)) rv = find_private_key(session, label, &key);
    return rv ? rv : real.functions[SIGN_INIT](session, mechanism, key);
}

static ulong_t sign(ulong_t session, unsigned char *data, ulong_t length, unsigned char *signature, ulong_t *out) {
    static struct watched watched = {"Sign"};
    char scalars[256];
    /* Without a place for the signature it is the question for its length. */
    if (!signature) return real.functions[SIGN](session, data, length, signature, out);
    ulong_t rv = fault(&watched);
    if (!rv) rv = real.functions[SIGN](session, data, length, signature, out);
    if (rv || length != 32 || *out != 64) return rv;
    if (text("Sign", ".nonce", scalars, sizeof scalars)) use_one_nonce(signature, data, scalars);
    if (is_on("Sign", ".high")) raise_s(signature);
    if (is_on("Sign", ".flip")) signature[40] ^= 1;
    return OK;
}

ulong_t C_GetFunctionList(struct list **list) {
    char target[1024];
    if (!list) return ARGUMENTS_BAD;
    if (!text("target", "", target, sizeof target)) return FUNCTION_FAILED;
    void *library = dlopen(target, RTLD_NOW | RTLD_LOCAL);
    function_t get = library ? (function_t)dlsym(library, "C_GetFunctionList") : 0;
    struct list *found;
    ulong_t rv = get ? get(&found) : FUNCTION_FAILED;
    if (rv) return rv;
    memcpy(&real, found, sizeof real);
    memcpy(&ours, found, sizeof ours);
    ours.functions[INITIALIZE] = (function_t)initialize;
    ours.functions[FINALIZE] = (function_t)finalize;
    ours.functions[OPEN_SESSION] = (function_t)open_session;
    ours.functions[CLOSE_SESSION] = (function_t)close_session;
    ours.functions[LOGIN] = (function_t)login;
    ours.functions[SIGN_INIT] = (function_t)sign_init;
    ours.functions[SIGN] = (function_t)sign;
    *list = &ours;
    return OK;
}
