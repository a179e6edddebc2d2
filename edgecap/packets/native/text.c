/* Flows as text: addresses, and Community IDs. */
#include "packets.h"
#include <arpa/inet.h>
#include <stdio.h>

static int is_mapped(const uint8_t *address) {
    static const uint8_t head[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    return !memcmp(address, head, 12);
}

/* RFC 4291, 2.5.5.1: deprecated long ago, but a forged address may look so. */
static int is_compatible(const uint8_t *address) {
    static const uint8_t head[12] = {0};
    return !memcmp(address, head, 12) && net16(address + 12);
}

/* addresses(buffer, offset, stride, count) -> list of str */
static PyObject *addresses(PyObject *self, PyObject *args) {
    Py_buffer buffer;
    Py_ssize_t offset, stride, count;
    PyObject *list = NULL;
    if (!PyArg_ParseTuple(args, "y*nnn", &buffer, &offset, &stride, &count)) return NULL;
    if (offset < 0 || stride < 16 || count < 0 ||
        (count && (offset > buffer.len - 16 || count - 1 > (buffer.len - 16 - offset) / stride))) {
        PyErr_SetString(PyExc_ValueError, "there are fewer addresses");
    } else if ((list = PyList_New(count))) {
        for (Py_ssize_t i = 0; i < count; i++) {
            const uint8_t *address = (const uint8_t *)buffer.buf + offset + i * stride;
            char text[INET6_ADDRSTRLEN] = "";
            if (is_mapped(address))
                inet_ntop(AF_INET, address + 12, text, sizeof text);
            else if (is_compatible(address)) /* the C library would write the obsolete ::1.2.3.4 */
                snprintf(text, sizeof text, "::%x:%x", net16(address + 12), net16(address + 14));
            else
                inet_ntop(AF_INET6, address, text, sizeof text);
            PyObject *made = PyUnicode_FromString(text);
            if (!made) {
                Py_DECREF(list);
                list = NULL;
                break;
            }
            PyList_SetItem(list, i, made);
        }
    }
    PyBuffer_Release(&buffer);
    return list;
}

INLINE uint32_t turn(uint32_t value, int by) { return value << by | value >> (32 - by); }

/* SHA-1 of at most 55 bytes, only for Community ID, which requires it. */
static void sha1_short(const uint8_t *text, int length, uint8_t digest[20]) {
    uint8_t block[64] = {0};
    uint32_t w[80], h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    memcpy(block, text, (size_t)length);
    block[length] = 0x80;
    block[62] = (uint8_t)(length >> 5);
    block[63] = (uint8_t)(length << 3);
    for (int i = 0; i < 16; i++) w[i] = net32(block + 4 * i);
    for (int i = 16; i < 80; i++) w[i] = turn(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    uint32_t a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
    for (int i = 0; i < 80; i++) {
        uint32_t f = i < 20 ? (b & c) | (~b & d) : i < 40 ? b ^ c ^ d : i < 60 ? (b & c) | (b & d) | (c & d) : b ^ c ^ d;
        uint32_t k = i < 20 ? 0x5a827999 : i < 40 ? 0x6ed9eba1 : i < 60 ? 0x8f1bbcdc : 0xca62c1d6;
        uint32_t next = turn(a, 5) + f + e + k + w[i];
        e = d;
        d = c;
        c = turn(b, 30);
        b = a;
        a = next;
    }
    h[0] += a, h[1] += b, h[2] += c, h[3] += d, h[4] += e;
    for (int i = 0; i < 20; i++) digest[i] = (uint8_t)(h[i / 4] >> (24 - 8 * (i % 4)));
}

/* The type that answers an ICMP type, as Community ID pairs them; -1: it has no answer, and so one direction. */
static int counterpart(int protocol, int type) {
    if (protocol == ICMP) switch (type) {
        case 0: return 8;
        case 8: return 0;
        case 9: return 10;
        case 10: return 9;
        case 13: return 14;
        case 14: return 13;
        case 15: return 16;
        case 16: return 15;
        case 17: return 18;
        case 18: return 17;
        }
    else switch (type) {
        case 128: return 129;
        case 129: return 128;
        case 130: return 131;
        case 131: return 130;
        case 133: return 134;
        case 134: return 133;
        case 135: return 136;
        case 136: return 135;
        case 139: return 140;
        case 140: return 139;
        case 144: return 145;
        case 145: return 144;
        }
    return -1;
}

/* https://github.com/corelight/community-id-spec, version 1, seed 0 */
static void community_id(const struct flow *flow, char text[31]) {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    int skip = flow->version == 4 ? 12 : 0, size = 16 - skip, one_way = 0, ports = 0;
    const uint8_t *from = flow->source + skip, *to = flow->destination + skip;
    int from_port = flow->source_port, to_port = flow->destination_port;
    if (!flow->ports) {
        /* Later fragments, or cut short: what the definition has for protocols without ports. */
    } else if (flow->protocol == ICMP || flow->protocol == ICMP6) {
        int other = counterpart(flow->protocol, from_port);
        ports = 1;
        if (other < 0)
            one_way = 1;
        else
            to_port = other;
    } else if (flow->protocol == TCP || flow->protocol == UDP || flow->protocol == SCTP) {
        ports = 1;
    }
    int order = memcmp(from, to, (size_t)size);
    if (!one_way && (order > 0 || (order == 0 && ports && from_port > to_port))) {
        const uint8_t *swap = from;
        int swap_port = from_port;
        from = to, to = swap;
        from_port = to_port, to_port = swap_port;
    }
    uint8_t told[40] = {0, 0}, digest[21] = {0};
    int length = 2;
    memcpy(told + length, from, (size_t)size), length += size;
    memcpy(told + length, to, (size_t)size), length += size;
    told[length++] = flow->protocol;
    told[length++] = 0;
    if (ports) {
        told[length++] = (uint8_t)(from_port >> 8), told[length++] = (uint8_t)from_port;
        told[length++] = (uint8_t)(to_port >> 8), told[length++] = (uint8_t)to_port;
    }
    sha1_short(told, length, digest);
    char *at = text;
    *at++ = '1';
    *at++ = ':';
    for (int i = 0; i < 21; i += 3) {
        uint32_t bits = (uint32_t)digest[i] << 16 | (uint32_t)digest[i + 1] << 8 | digest[i + 2];
        for (int shift = 18; shift >= 0; shift -= 6) *at++ = letters[bits >> shift & 63];
    }
    at[-1] = '=';
    *at = 0;
}

/* community_ids(flows, count) -> list of str */
static PyObject *community_ids(PyObject *self, PyObject *args) {
    Py_buffer flows;
    Py_ssize_t count;
    PyObject *list = NULL;
    if (!PyArg_ParseTuple(args, "y*n", &flows, &count)) return NULL;
    if (!aligned(&flows) || count < 0 || count > flows.len / (Py_ssize_t)sizeof(struct flow)) {
        PyErr_SetString(PyExc_ValueError, "there are fewer flows");
    } else if ((list = PyList_New(count))) {
        for (Py_ssize_t i = 0; i < count; i++) {
            char text[31];
            community_id((const struct flow *)flows.buf + i, text);
            PyObject *made = PyUnicode_FromString(text);
            if (!made) {
                Py_DECREF(list);
                list = NULL;
                break;
            }
            PyList_SetItem(list, i, made);
        }
    }
    PyBuffer_Release(&flows);
    return list;
}

static PyMethodDef methods[] = {
    {"addresses", addresses, METH_VARARGS, "Addresses as text."},
    {"community_ids", community_ids, METH_VARARGS, "The Community ID of each flow."},
    {NULL, NULL, 0, NULL},
};

static int execute(PyObject *module) {
    return PyModule_AddIntConstant(module, "FLOW_SIZE", sizeof(struct flow));
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, execute}, {0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "edgecap.packets.native.text", "Flows as text.", 0, methods, slots, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit_text(void) { return PyModuleDef_Init(&definition); }
