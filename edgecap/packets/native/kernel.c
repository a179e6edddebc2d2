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

enum { MORE, OTHER, ABSURD, FRACTION };

/* The result of a walk. */
struct walk {
    const uint8_t *data;
    Py_ssize_t pos, end;
    struct row *rows; /* NULL: only count */
    Py_ssize_t filled, room;
    int64_t latest, earliest; /* over all packets before and of this walk; INT64_MIN, INT64_MAX: none yet */
    uint64_t wire, captured, count, untimed;
    int backwards, oversized, why; /* oversized: a captured length exceeded the original one */
    uint64_t value; /* MORE: bytes needed from pos on. ABSURD: the length claimed. FRACTION: the fraction */
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
    if (captured > wire) {
        w->oversized = 1;
        wire = captured;
    }
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

enum { IN_ORDER, SWAPPED, MAYBE_SWAPPED }; /* the two lengths of a record: of versions before 2.3, and of 2.3 */

struct pcap_form {
    uint32_t unit, most; /* nanoseconds of a fraction's unit; a larger fraction is left to Python */
    uint32_t longest, head; /* of a packet, of a record's header */
    int lengths;
};

INLINE void walk_pcap_as(struct walk *w, const struct pcap_form *form, int swapped, int plain) {
    const uint32_t head = plain ? 16 : form->head;
    for (;;) {
        Py_ssize_t left = w->end - w->pos;
        if (left < head) {
            w->why = MORE;
            w->value = head;
            return;
        }
        const uint8_t *at = w->data + w->pos;
        uint32_t captured = u32(at + 8, swapped), wire = u32(at + 12, swapped), fraction = u32(at + 4, swapped);
        if (!plain && (form->lengths == SWAPPED || (form->lengths == MAYBE_SWAPPED && captured > wire))) {
            uint32_t other = captured;
            captured = wire;
            wire = other;
        }
        if (captured > form->longest) {
            w->why = ABSURD;
            w->value = captured;
            return;
        }
        if (left - head < (Py_ssize_t)captured || (w->rows && w->filled == w->room)) {
            w->why = MORE;
            w->value = head + (uint64_t)captured;
            return;
        }
        if (fraction > form->most) {
            w->why = FRACTION;
            w->value = fraction;
            return;
        }
        int64_t time = (int64_t)u32(at, swapped) * 1000000000 + (int64_t)fraction * form->unit;
        note_time(w, time);
        count(w, time, w->pos + head, captured, wire, 0);
        w->pos += head + captured;
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
            time = NO_TIME;
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
    return Py_BuildValue("(niKKKKKLLiin)", w->pos, w->why, w->value, w->count, w->wire, w->captured, w->untimed,
                         (long long)w->earliest, (long long)w->latest, w->backwards, w->oversized, w->filled);
}

static PyObject *walk_pcap(PyObject *self, PyObject *args) {
    Py_buffer data = {0}, rows = {0};
    PyObject *target, *result = NULL;
    Py_ssize_t pos, filled;
    int swapped;
    struct pcap_form form;
    struct walk w = {0};
    long long earliest, latest;
    if (!PyArg_ParseTuple(args, "y*nOnp(IIIIi)LL", &data, &pos, &target, &filled, &swapped, &form.unit, &form.most,
                          &form.longest, &form.head, &form.lengths, &earliest, &latest))
        return NULL;
    w.earliest = earliest;
    w.latest = latest;
    if (walk_begin(&w, &data, pos, &rows, target, filled)) {
        Py_BEGIN_ALLOW_THREADS
        if (form.head != 16 || form.lengths != IN_ORDER)
            walk_pcap_as(&w, &form, swapped, 0);
        else if (swapped)
            walk_pcap_as(&w, &form, 1, 1);
        else
            walk_pcap_as(&w, &form, 0, 1);
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

enum { PCAP, PCAPNG }; /* what is written; both in nanoseconds and in this machine's byte order */

struct source {
    const uint8_t *data;
    Py_ssize_t size;
    const struct row *rows;
    uint32_t next, count;
    int blocks; /* whether each packet stands in a pcapng block */
};

struct output {
    uint8_t *to;
    Py_ssize_t room, filled, needed;
    int format;
    int64_t latest; /* the last written time */
    uint64_t clamped; /* times that the format cannot hold */
};

/* The earlier of two packets; of equal times, that of the first source. One without a time comes first: it
   stays behind the packet before it. */
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

/* The options of a packet's block: where they begin, and their bytes; 0 if there are none. */
static uint32_t options_of(const struct source *s, const struct row *row, const uint8_t **begin, int *swapped) {
    if (!s->blocks || row->time == NO_TIME || row->start < 28) return 0;
    const uint8_t *block = s->data + row->start - 28;
    uint32_t kind = u32(block, 0);
    *swapped = kind != 6 && kind != 2;
    uint32_t length = u32(block + 4, *swapped), head = 28 + ((row->captured + 3) & ~3u);
    Py_ssize_t left = s->data + s->size - block;
    if (length < head + 8 || length & 3 || length > 16 << 20 || left < (Py_ssize_t)length) return 0;
    *begin = block + head;
    return length - head - 4;
}

INLINE void swap_at(uint8_t *at, int size) {
    for (int i = 0; i < size / 2; i++) {
        uint8_t kept = at[i];
        at[i] = at[size - 1 - i];
        at[size - 1 - i] = kept;
    }
}

/* Turn copied options into this machine's byte order; what cannot be parsed becomes their end. */
static void turn_options(uint8_t *at, uint32_t size) {
    while (size >= 4) {
        swap_at(at, 2);
        swap_at(at + 2, 2);
        uint16_t code, length;
        memcpy(&code, at, 2);
        memcpy(&length, at + 2, 2);
        uint32_t padded = 4 + ((length + 3u) & ~3u);
        if (!code || padded > size) {
            memset(at, 0, size);
            return;
        }
        if ((code == 2 && length == 4) || (code == 6 && length == 4)) swap_at(at + 4, 4); /* flags, queue */
        if ((code == 4 || code == 5) && length == 8) swap_at(at + 4, 8); /* drop count, number */
        at += padded;
        size -= padded;
    }
}

/* Write packets in order until a source has none left, or the next does not fit. */
static int merge_run(struct source *s, uint32_t count, uint32_t *heap, struct output *out, uint32_t *starved) {
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
        const uint8_t *options = NULL;
        int swapped = 0;
        uint32_t padded = row->captured, extra = 0, length = 16 + row->captured;
        if (out->format == PCAPNG) {
            padded = (row->captured + 3) & ~3u;
            extra = options_of(first, row, &options, &swapped);
            length = padded + 32 + extra;
        }
        if (out->room - out->filled < (Py_ssize_t)length) {
            out->needed = length;
            return 1;
        }
        if (row->time != NO_TIME) out->latest = row->time;
        uint64_t time = out->latest < 0 ? 0 : (uint64_t)out->latest;
        int unfit = row->time != NO_TIME && row->time < 0;
        uint8_t *to = out->to + out->filled;
        if (out->format == PCAPNG) {
            uint32_t head[7] = {6, length, row->interface, (uint32_t)(time >> 32), (uint32_t)time, row->captured, row->wire};
            memcpy(to, head, 28);
            memcpy(to + 28, first->data + row->start, row->captured);
            memset(to + 28 + row->captured, 0, padded - row->captured);
            if (extra) {
                memcpy(to + 28 + padded, options, extra);
                if (swapped) turn_options(to + 28 + padded, extra);
            }
            memcpy(to + length - 4, &length, 4);
        } else {
            uint64_t seconds = time / 1000000000;
            uint32_t head[4] = {(uint32_t)seconds, (uint32_t)(time % 1000000000), row->captured, row->wire};
            if (seconds > UINT32_MAX) {
                head[0] = UINT32_MAX;
                head[1] = 999999999;
                unfit = 1;
            }
            memcpy(to, head, 16);
            memcpy(to + 16, first->data + row->start, row->captured);
        }
        out->clamped += (uint64_t)unfit;
        out->filled += length;
        if (++first->next == first->count) {
            *starved = heap[0];
            return 1;
        }
        sift(s, heap, count, 0);
    }
    return 1;
}

/* merge(sources, taken, out, format, latest) -> bytes written, exhausted source, bytes needed, latest, clamped */
static PyObject *merge(PyObject *self, PyObject *args) {
    PyObject *list, *result = NULL;
    Py_buffer taken, buffer;
    struct output out = {0};
    long long latest;
    if (!PyArg_ParseTuple(args, "O!w*w*iL", &PyList_Type, &list, &taken, &buffer, &out.format, &latest)) return NULL;
    Py_ssize_t count = PyList_Size(list), held = 0;
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
        PyObject *entry = PyList_GetItem(list, i);
        PyObject *data, *rows;
        if (!PyArg_ParseTuple(entry, "OOp", &data, &rows, &sources[i].blocks)) goto done;
        if (PyObject_GetBuffer(data, buffers + held, PyBUF_SIMPLE) < 0) goto done;
        sources[i].data = buffers[held].buf;
        sources[i].size = buffers[held++].len;
        if (PyObject_GetBuffer(rows, buffers + held, PyBUF_C_CONTIGUOUS) < 0) goto done;
        sources[i].rows = buffers[held].buf;
        sources[i].count = (uint32_t)(buffers[held++].len / (Py_ssize_t)sizeof(struct row));
        sources[i].next = next[i];
    }
    int good;
    out.to = buffer.buf;
    out.room = buffer.len;
    out.latest = latest;
    Py_BEGIN_ALLOW_THREADS
    good = merge_run(sources, (uint32_t)count, heap, &out, &starved);
    Py_END_ALLOW_THREADS
    if (!good) {
        PyErr_SetString(PyExc_ValueError, "a row points outside of its data");
        goto done;
    }
    for (Py_ssize_t i = 0; i < count; i++) next[i] = sources[i].next;
    result = Py_BuildValue("(nnnLK)", out.filled, starved == UINT32_MAX ? (Py_ssize_t)-1 : (Py_ssize_t)starved,
                           out.needed, (long long)out.latest, out.clamped);
done:
    while (held) PyBuffer_Release(buffers + --held);
    free(heap);
    free(buffers);
    free(sources);
    PyBuffer_Release(&buffer);
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
           PyModule_AddIntConstant(module, "ABSURD", ABSURD) ||
           PyModule_AddIntConstant(module, "FRACTION", FRACTION) ||
           PyModule_AddIntConstant(module, "IN_ORDER", IN_ORDER) ||
           PyModule_AddIntConstant(module, "SWAPPED", SWAPPED) ||
           PyModule_AddIntConstant(module, "MAYBE_SWAPPED", MAYBE_SWAPPED) ||
           PyModule_AddIntConstant(module, "PCAP", PCAP) || PyModule_AddIntConstant(module, "PCAPNG", PCAPNG);
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, execute}, {0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "edgecap.packets.native.kernel", "The loops that run once for each packet.", 0, methods, slots,
    NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit_kernel(void) { return PyModuleDef_Init(&definition); }
