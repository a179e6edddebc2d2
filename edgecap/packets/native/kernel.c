/* The per-packet loops: parsing records and headers, merging by time.
 *
 * Python does everything else: headers of files and interfaces, detecting and reporting damage. A loop here
 * continues while records are plain and valid, and returns to Python at the first other one. Nothing outside the
 * given buffers is read, and only the heap of a merge is allocated.
 */
#include "dissect.h"

struct interface { /* as pcapng describes it; a zero numerator leaves the packets to Python */
    uint64_t numerator, denominator; /* time = stamp * numerator / denominator + offset */
    int64_t offset;
    uint32_t snaplen, longest, number, unused;
};

enum { MORE, OTHER, ABSURD };

/* The result of a walk. */
struct walk {
    const uint8_t *data;
    Py_ssize_t pos, end;
    struct row *rows; /* NULL: only count */
    Py_ssize_t filled, room;
    int64_t latest, earliest; /* over all packets before and of this walk; INT64_MIN, INT64_MAX: none yet */
    uint64_t wire, captured, count, untimed;
    int backwards, why;
    uint64_t value; /* MORE: bytes needed from pos on. ABSURD: the length claimed */
};

INLINE void note_time(struct walk *w, int64_t time) {
    if (time >= w->latest) {
        w->latest = time;
        if (time < w->earliest) w->earliest = time;
    } else {
        w->backwards = 1;
        if (time < w->earliest) w->earliest = time;
    }
}

INLINE void count(struct walk *w, int64_t time, Py_ssize_t start, uint32_t captured, uint32_t wire, uint32_t interface) {
    if (w->rows) {
        struct row *row = w->rows + w->filled++;
        row->time = time;
        row->start = (uint32_t)start;
        row->captured = captured;
        row->wire = wire;
        row->interface = interface;
    }
    w->count++;
    w->wire += wire;
    w->captured += captured;
}

INLINE void walk_pcap_as(struct walk *w, uint32_t unit, uint32_t longest, int swapped) {
    for (;;) {
        Py_ssize_t left = w->end - w->pos;
        if (left < 16) {
            w->why = MORE;
            w->value = 16;
            return;
        }
        const uint8_t *at = w->data + w->pos;
        uint32_t captured = u32(at + 8, swapped);
        if (captured > longest) {
            w->why = ABSURD;
            w->value = captured;
            return;
        }
        if (left - 16 < (Py_ssize_t)captured || (w->rows && w->filled == w->room)) {
            w->why = MORE;
            w->value = 16 + (uint64_t)captured;
            return;
        }
        int64_t time = (int64_t)u32(at, swapped) * 1000000000 + (int64_t)u32(at + 4, swapped) * unit;
        note_time(w, time);
        count(w, time, w->pos + 16, captured, u32(at + 12, swapped), 0);
        w->pos += 16 + captured;
    }
}

INLINE void walk_pcapng_as(struct walk *w, const struct interface *interfaces, uint32_t known, int swapped) {
    for (;;) {
        Py_ssize_t left = w->end - w->pos;
        w->why = MORE;
        if (left < 12) {
            w->value = 12;
            return;
        }
        const uint8_t *at = w->data + w->pos;
        uint32_t kind = u32(at, swapped), length = u32(at + 4, swapped);
        uint32_t frame = kind == 3 ? 16 : 32;
        if ((kind != 6 && kind != 3 && kind != 2) || length < frame || length & 3 || length > 16 << 20) {
            w->why = OTHER;
            return;
        }
        if (left < (Py_ssize_t)length || (w->rows && w->filled == w->room)) {
            w->value = length;
            return;
        }
        w->why = OTHER;
        if (u32(at + length - 4, swapped) != length) return;
        uint32_t number = kind == 6 ? u32(at + 8, swapped) : kind == 2 ? u16(at + 8, swapped) : 0;
        if (number >= known) return;
        const struct interface *interface = interfaces + number;
        uint32_t captured, wire, start = kind == 3 ? 12 : 28;
        int64_t time;
        if (kind == 3) {
            wire = u32(at + 8, swapped);
            captured = interface->snaplen && interface->snaplen < wire ? interface->snaplen : wire;
            time = w->latest == INT64_MIN ? 0 : w->latest;
        } else {
            captured = u32(at + 20, swapped);
            wire = u32(at + 24, swapped);
            uint64_t stamp = (uint64_t)u32(at + 12, swapped) << 32 | u32(at + 16, swapped);
            if (!interface->numerator) return;
            __int128 exact = (unsigned __int128)stamp * interface->numerator / interface->denominator;
            exact += interface->offset;
            if (exact < INT64_MIN + 1 || exact > INT64_MAX) return;
            time = (int64_t)exact;
        }
        if (captured > interface->longest || captured > length - frame) return;
        if (kind == 3)
            w->untimed++;
        else
            note_time(w, time);
        count(w, time, w->pos + start, captured, wire, interface->number);
        w->pos += length;
    }
}

static int walk_begin(struct walk *w, const Py_buffer *data, Py_ssize_t pos, Py_buffer *rows, PyObject *target,
                      Py_ssize_t filled) {
    if (pos < 0 || pos > data->len || data->len > UINT32_MAX) {
        PyErr_SetString(PyExc_ValueError, "the position is outside of the data, or the data too large");
        return 0;
    }
    w->data = data->buf;
    w->pos = pos;
    w->end = data->len;
    if (target != Py_None) {
        if (PyObject_GetBuffer(target, rows, PyBUF_WRITABLE | PyBUF_C_CONTIGUOUS) < 0) return 0;
        w->rows = rows->buf;
        w->room = rows->len / (Py_ssize_t)sizeof(struct row);
        w->filled = filled;
        if (filled < 0 || filled > w->room) {
            PyErr_SetString(PyExc_ValueError, "more rows are filled than there are");
            return 0;
        }
    }
    return 1;
}

static PyObject *walk_result(const struct walk *w) {
    return Py_BuildValue("(niKKKKKLLin)", w->pos, w->why, w->value, w->count, w->wire, w->captured, w->untimed,
                         (long long)w->earliest, (long long)w->latest, w->backwards, w->filled);
}

static PyObject *walk_pcap(PyObject *self, PyObject *args) {
    Py_buffer data = {0}, rows = {0};
    PyObject *target, *result = NULL;
    Py_ssize_t pos, filled;
    int swapped;
    unsigned int unit, longest;
    struct walk w = {0};
    long long earliest, latest;
    if (!PyArg_ParseTuple(args, "y*nOnpIILL", &data, &pos, &target, &filled, &swapped, &unit, &longest, &earliest,
                          &latest))
        return NULL;
    w.earliest = earliest;
    w.latest = latest;
    if (walk_begin(&w, &data, pos, &rows, target, filled)) {
        Py_BEGIN_ALLOW_THREADS
        if (swapped)
            walk_pcap_as(&w, unit, longest, 1);
        else
            walk_pcap_as(&w, unit, longest, 0);
        Py_END_ALLOW_THREADS
        result = walk_result(&w);
    }
    if (rows.obj) PyBuffer_Release(&rows);
    PyBuffer_Release(&data);
    return result;
}

static PyObject *walk_pcapng(PyObject *self, PyObject *args) {
    Py_buffer data = {0}, rows = {0}, interfaces = {0};
    PyObject *target, *result = NULL;
    Py_ssize_t pos, filled;
    int swapped;
    struct walk w = {0};
    long long earliest, latest;
    if (!PyArg_ParseTuple(args, "y*nOnpy*LL", &data, &pos, &target, &filled, &swapped, &interfaces, &earliest,
                          &latest))
        return NULL;
    w.earliest = earliest;
    w.latest = latest;
    if (walk_begin(&w, &data, pos, &rows, target, filled)) {
        uint32_t known = (uint32_t)(interfaces.len / (Py_ssize_t)sizeof(struct interface));
        Py_BEGIN_ALLOW_THREADS
        if (swapped)
            walk_pcapng_as(&w, interfaces.buf, known, 1);
        else
            walk_pcapng_as(&w, interfaces.buf, known, 0);
        Py_END_ALLOW_THREADS
        result = walk_result(&w);
    }
    if (rows.obj) PyBuffer_Release(&rows);
    PyBuffer_Release(&interfaces);
    PyBuffer_Release(&data);
    return result;
}

static PyObject *dissect(PyObject *self, PyObject *args) {
    Py_buffer data, rows, links, out;
    PyObject *result = NULL;
    if (!PyArg_ParseTuple(args, "y*y*y*w*", &data, &rows, &links, &out)) return NULL;
    Py_ssize_t count = rows.len / (Py_ssize_t)sizeof(struct row), known = links.len / 4, bad = 0;
    if (out.len < count * (Py_ssize_t)sizeof(struct headers)) {
        PyErr_SetString(PyExc_ValueError, "there is no room for that many headers");
    } else {
        const struct row *row = rows.buf;
        struct headers *h = out.buf;
        const uint32_t *link = links.buf;
        Py_BEGIN_ALLOW_THREADS
        for (Py_ssize_t i = 0; i < count; i++, row++, h++) {
            if (row->interface >= known || (Py_ssize_t)row->start + (Py_ssize_t)row->captured > data.len) {
                bad = 1;
                break;
            }
            const uint8_t *at = (const uint8_t *)data.buf + row->start;
            dissect_one(h, at, at + row->captured, link[row->interface]);
        }
        Py_END_ALLOW_THREADS
        if (bad)
            PyErr_SetString(PyExc_ValueError, "a row points outside of its data or interfaces");
        else
            result = Py_NewRef(Py_None);
    }
    PyBuffer_Release(&out);
    PyBuffer_Release(&links);
    PyBuffer_Release(&rows);
    PyBuffer_Release(&data);
    return result;
}

/* Merging */

struct source {
    const uint8_t *data;
    Py_ssize_t size;
    const struct row *rows;
    uint32_t next, count;
};

/* The earlier of two packets; of equal times, that of the first source. */
INLINE int before(const struct source *s, uint32_t a, uint32_t b) {
    int64_t left = s[a].rows[s[a].next].time, right = s[b].rows[s[b].next].time;
    return left < right || (left == right && a < b);
}

INLINE void sift(const struct source *s, uint32_t *heap, uint32_t count, uint32_t at) {
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= count) return;
        if (child + 1 < count && before(s, heap[child + 1], heap[child])) child++;
        if (!before(s, heap[child], heap[at])) return;
        uint32_t swap = heap[at];
        heap[at] = heap[child];
        heap[child] = swap;
        at = child;
    }
}

/* Write packets in order until a source has none left, or the next does not fit. */
static int merge_run(struct source *s, uint32_t count, uint32_t *heap, uint8_t *out, Py_ssize_t room,
                     Py_ssize_t *filled, uint32_t *starved, Py_ssize_t *needed) {
    for (uint32_t i = 0; i < count; i++) {
        heap[i] = i;
        if (s[i].next >= s[i].count) {
            *starved = i;
            return 1;
        }
    }
    for (uint32_t i = count / 2; i-- > 0;) sift(s, heap, count, i);
    while (count) {
        struct source *first = s + heap[0];
        const struct row *row = first->rows + first->next;
        if (row->captured > 1u << 30 || (Py_ssize_t)row->start + (Py_ssize_t)row->captured > first->size) return 0;
        uint32_t padded = (row->captured + 3) & ~3u, length = padded + 32;
        if (room - *filled < (Py_ssize_t)length) {
            *needed = length;
            return 1;
        }
        uint64_t time = row->time < 0 ? 0 : (uint64_t)row->time;
        uint32_t head[7] = {6, length, row->interface, (uint32_t)(time >> 32), (uint32_t)time, row->captured, row->wire};
        uint8_t *to = out + *filled;
        memcpy(to, head, 28);
        memcpy(to + 28, first->data + row->start, row->captured);
        memset(to + 28 + row->captured, 0, padded - row->captured);
        memcpy(to + 28 + padded, &length, 4);
        *filled += length;
        if (++first->next == first->count) {
            *starved = heap[0];
            return 1;
        }
        sift(s, heap, count, 0);
    }
    return 1;
}

static PyObject *merge(PyObject *self, PyObject *args) {
    PyObject *list, *result = NULL;
    Py_buffer taken, out;
    if (!PyArg_ParseTuple(args, "O!w*w*", &PyList_Type, &list, &taken, &out)) return NULL;
    Py_ssize_t count = PyList_Size(list), held = 0, filled = 0, needed = 0;
    uint32_t starved = UINT32_MAX, *next = taken.buf;
    struct source *sources = calloc((size_t)count + 1, sizeof *sources);
    Py_buffer *buffers = calloc(2 * (size_t)count + 1, sizeof *buffers);
    uint32_t *heap = calloc((size_t)count + 1, sizeof *heap);
    if (!sources || !buffers || !heap) {
        PyErr_NoMemory();
        goto done;
    }
    if (taken.len < count * 4) {
        PyErr_SetString(PyExc_ValueError, "there are fewer counts than sources");
        goto done;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *pair = PyList_GetItem(list, i);
        PyObject *data, *rows;
        if (!PyArg_ParseTuple(pair, "OO", &data, &rows)) goto done;
        if (PyObject_GetBuffer(data, buffers + held, PyBUF_SIMPLE) < 0) goto done;
        sources[i].data = buffers[held].buf;
        sources[i].size = buffers[held++].len;
        if (PyObject_GetBuffer(rows, buffers + held, PyBUF_C_CONTIGUOUS) < 0) goto done;
        sources[i].rows = buffers[held].buf;
        sources[i].count = (uint32_t)(buffers[held++].len / (Py_ssize_t)sizeof(struct row));
        sources[i].next = next[i];
    }
    int good;
    Py_BEGIN_ALLOW_THREADS
    good = merge_run(sources, (uint32_t)count, heap, out.buf, out.len, &filled, &starved, &needed);
    Py_END_ALLOW_THREADS
    if (!good) {
        PyErr_SetString(PyExc_ValueError, "a row points outside of its data");
        goto done;
    }
    for (Py_ssize_t i = 0; i < count; i++) next[i] = sources[i].next;
    result = Py_BuildValue("(nnn)", filled, starved == UINT32_MAX ? (Py_ssize_t)-1 : (Py_ssize_t)starved, needed);
done:
    while (held) PyBuffer_Release(buffers + --held);
    free(heap);
    free(buffers);
    free(sources);
    PyBuffer_Release(&out);
    PyBuffer_Release(&taken);
    return result;
}

static PyMethodDef methods[] = {
    {"walk_pcap", walk_pcap, METH_VARARGS, "Walk plain records of a classic pcap."},
    {"walk_pcapng", walk_pcapng, METH_VARARGS, "Walk plain packet blocks of a pcapng."},
    {"dissect", dissect, METH_VARARGS, "Take the headers of packets apart."},
    {"merge", merge, METH_VARARGS, "Write packets of several sources in order of time as pcapng blocks."},
    {NULL, NULL, 0, NULL},
};

static int execute(PyObject *module) {
    return PyModule_AddIntConstant(module, "ROW_SIZE", sizeof(struct row)) ||
           PyModule_AddIntConstant(module, "HEADERS_SIZE", sizeof(struct headers)) ||
           PyModule_AddIntConstant(module, "INTERFACE_SIZE", sizeof(struct interface)) ||
           PyModule_AddIntConstant(module, "MORE", MORE) || PyModule_AddIntConstant(module, "OTHER", OTHER) ||
           PyModule_AddIntConstant(module, "ABSURD", ABSURD);
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, execute}, {0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "edgecap.packets.native.kernel", "The loops that run once for each packet.", 0, methods, slots,
    NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit_kernel(void) { return PyModuleDef_Init(&definition); }
