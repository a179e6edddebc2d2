/* Count packets in one pass: totals, a timeline, flows; then addresses from flows.
 *
 * All memory is Python's: NumPy arrays in the layouts that flow_table.py repeats and checks on import. A full
 * table, or a row that points outside its data, ends a call; Python decides what follows. Hashes use a secret
 * seed, because an attacker could otherwise choose packets that make them slow. Sizes, positions and alignment
 * are checked first, so that nothing outside the arrays is touched.
 */
#include "dissect.h"
#include <stdio.h>

enum { LONGEST = 2048, BASE_WIDTH = 1000000, REGISTERS = 4096 }; /* bytes; nanoseconds; of an estimate */
enum { LINKS = 1024 }; /* link types that are told apart */
enum { AHEAD = 16 }; /* packets that are parsed ahead of counting */

struct pair { uint64_t packets, bytes; };

/* Names in DNS queries, by their last labels; and where tunnels end. Both lists keep the frequent ones
 * (Misra and Gries, 1982): a count may be low by what was taken off to make room. */
enum { SUFFIXES = 32, SUFFIX_TEXT = 64, NAME_REGISTERS = 1024, SUFFIX_REGISTERS = 256, ENDS = 8 };

struct suffix {
    uint64_t hash, queries;
    uint8_t text[SUFFIX_TEXT]; /* ends with a 0 */
    uint8_t registers[SUFFIX_REGISTERS]; /* of whole names */
};

struct names {
    uint64_t queries, answers, failed; /* failed: answers with NXDOMAIN */
    uint64_t named; /* queries whose name was captured */
    uint8_t registers[NAME_REGISTERS];
    struct suffix suffix[SUFFIXES];
};

struct tunnel_end {
    uint8_t address[16];
    uint64_t packets;
};

struct counts {
    uint64_t packets, wire, captured;
    uint64_t untimed; /* packets without a time */
    uint64_t samples; /* packets that were kept; all other counts are of what they stand for */
    double squares; /* the sum of their squared weights, from which the interval of a sum follows */
    int64_t first, last; /* of those with one; INT64_MAX and INT64_MIN: there is none */
    uint64_t smallest, largest;
    struct pair version[3]; /* IPv4, IPv6, anything else */
    struct pair protocol[256], tunnel[256], tcp_flags[256], icmp4[256], icmp6[256];
    struct pair ether[65536]; /* of what is not IP */
    struct pair link[LINKS]; /* of link types that are not parsed; the last: that or more */
    uint64_t vlan[4096], ttl[256], size[LONGEST + 1]; /* the last size: that or more */
    uint64_t fragments, later, options, cut;
    uint64_t flows; /* that are in the table */
    int64_t width, base; /* of the timeline: nanoseconds of a bin, number of the first */
    uint64_t level, bins; /* how often the width was raised, how many bins are in use */
    struct names names;
    struct tunnel_end tunnel_ends[ENDS]; /* the outer destinations of tunnels */
    uint8_t tunnel_sources[SUFFIX_REGISTERS];
};

struct bin { uint64_t packets, bytes, tcp, udp, icmp; };

struct talker {
    uint8_t address[16];
    uint64_t packets, bytes, flows;
};

/* An entry of an index: the upper half of the hash, and the place in the table plus one; 0 is free. */
INLINE uint64_t fold(uint64_t a, uint64_t b) {
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

INLINE uint64_t hash_of(const uint64_t *key, int words, uint64_t seed) {
    uint64_t hash = seed ^ 0x9e3779b97f4a7c15u;
    for (int i = 0; i < words; i++) hash = fold(hash ^ key[i], (seed | 1) + 0xa0761d6478bd642fu * (uint64_t)(i + 1));
    return fold(hash, 0xe7037ed1a0b428dbu);
}

enum { MISSING, FOUND, BROKEN };

/* The row of a key in a table of `used` rows, or its position in the index if it is new: *what tells. */
INLINE uint64_t find(const uint64_t *index, uint64_t mask, const uint8_t *table, uint64_t used, size_t size,
                     const uint64_t *key, int words, uint64_t hash, int *what) {
    uint64_t tag = hash >> 32 << 32, at = hash & mask;
    for (uint64_t tries = 0; tries <= mask; tries++, at = (at + 1) & mask) {
        uint64_t entry = index[at];
        if (!entry) {
            *what = MISSING;
            return at;
        }
        if ((entry ^ tag) >> 32 == 0) {
            uint64_t place = (entry & 0xffffffffu) - 1;
            if (place < used && !memcmp(table + place * size, key, (size_t)words * 8)) {
                *what = FOUND;
                return place;
            }
        }
    }
    *what = BROKEN; /* a valid index has a free entry */
    return 0;
}

INLINE void add(struct pair *to, uint64_t packets, uint64_t bytes) {
    to->packets += packets;
    to->bytes += bytes;
}

INLINE int64_t floor_div(int64_t a, int64_t b) {
    int64_t q = a / b;
    return a % b < 0 ? q - 1 : q;
}

/* Note a key in the registers of an estimate, 4,096 or a smaller power of two; without a seed, so that it is the
 * same each time. */
INLINE void note_in(uint8_t *registers, int bits, const uint64_t *key, int words) {
    uint64_t spread = fold(hash_of(key, words, 0), 0x8ebc6af09c88c6e3u);
    uint8_t rank = (uint8_t)(1 + __builtin_clzll(spread << bits | (uint64_t)1 << (bits - 1)));
    if (rank > registers[spread >> (64 - bits)]) registers[spread >> (64 - bits)] = rank;
}

/* The name of a query ends with these labels: at most two, or three below a registry such as co.uk. */
static void count_suffix(struct names *n, const uint8_t *name, int length, const int *label, int labels,
                         uint64_t whole, uint64_t seed) {
    int from = labels > 2 ? labels - 2 : 0;
    if (labels > 3 && name[label[labels - 2]] <= 3) from = labels - 3;
    if (from == 0) return; /* a name of its own, not one of many below something */
    uint64_t hash = seed;
    int begin = label[from];
    for (int i = begin; i < length; i++) hash = fold(hash ^ (name[i] | 32), 0x9e3779b97f4a7c15u + (uint64_t)i - (uint64_t)begin);
    struct suffix *slot = NULL, *free = NULL;
    for (int i = 0; i < SUFFIXES && !slot; i++) {
        if (!n->suffix[i].queries) free = free ? free : n->suffix + i;
        else if (n->suffix[i].hash == hash) slot = n->suffix + i;
    }
    if (!slot && !free) {
        for (int i = 0; i < SUFFIXES; i++) n->suffix[i].queries--;
        return;
    }
    if (!slot) {
        slot = free;
        memset(slot, 0, sizeof *slot);
        slot->hash = hash;
        int to = 0;
        for (int i = begin; i < length && to < SUFFIX_TEXT - 1;) {
            int size = name[i++];
            if (to) slot->text[to++] = '.';
            for (; size > 0 && i < length && to < SUFFIX_TEXT - 1; size--, i++)
                slot->text[to++] = name[i] > 32 && name[i] < 127 ? name[i] : '?';
        }
    }
    slot->queries++;
    note_in(slot->registers, 8, &whole, 1);
}

/* A DNS message over UDP, as far as it was captured. RFC 1035, 4.1. */
static void count_name(struct names *n, const uint8_t *at, const uint8_t *end, int asked, uint64_t seed) {
    if (end - at < 12) return;
    if (at[2] & 0x80) {
        n->answers += !asked;
        n->failed += !asked && (at[3] & 15) == 3;
        return;
    }
    if (!asked || at[2] & 0x78) return; /* only standard queries */
    n->queries++;
    if (net16(at + 4) != 1) return;
    const uint8_t *name = at + 12;
    int labels = 0, length = 0, label[128];
    uint64_t whole = 0;
    while (name + length < end && name[length] && labels < 128) {
        int size = name[length];
        if (size > 63 || end - name - length <= size) return;
        label[labels++] = length;
        for (int i = length; i <= length + size; i++) whole = fold(whole ^ (name[i] | 32), 0xa0761d6478bd642fu + (uint64_t)i);
        length += size + 1;
        if (length > 255) return;
    }
    if (name + length >= end || name[length]) return;
    n->named++;
    note_in(n->registers, 10, &whole, 1);
    count_suffix(n, name, length, label, labels, whole, seed);
}

static void count_tunnel(struct counts *c, const struct layer *outer) {
    uint64_t key[2];
    memcpy(key, outer->source, 16);
    note_in(c->tunnel_sources, 8, key, 2);
    struct tunnel_end *free = NULL;
    for (int i = 0; i < ENDS; i++) {
        struct tunnel_end *each = c->tunnel_ends + i;
        if (!each->packets) {
            free = free ? free : each;
        } else if (!memcmp(each->address, outer->destination, 16)) {
            each->packets++;
            return;
        }
    }
    if (free) {
        memcpy(free->address, outer->destination, 16);
        free->packets = 1;
    } else {
        for (int i = 0; i < ENDS; i++) c->tunnel_ends[i].packets--;
    }
}

/* Widths grow as 1, 2, 10, 20, 100 ... milliseconds. */
static void widen(struct counts *c, struct bin *bins) {
    int64_t factor = c->level % 2 ? 5 : 2, base = floor_div(c->base, factor);
    for (uint64_t i = 0; i < c->bins; i++) {
        struct bin from = bins[i];
        memset(bins + i, 0, sizeof from);
        struct bin *to = bins + (floor_div(c->base + (int64_t)i, factor) - base);
        to->packets += from.packets;
        to->bytes += from.bytes;
        to->tcp += from.tcp;
        to->udp += from.udp;
        to->icmp += from.icmp;
    }
    c->bins = c->bins ? (uint64_t)(floor_div(c->base + (int64_t)c->bins - 1, factor) - base) + 1 : 0;
    c->base = base;
    c->width *= factor;
    c->level++;
}

static struct bin *bin_at(struct counts *c, struct bin *bins, uint64_t room, int64_t time) {
    for (;;) {
        int64_t number = floor_div(time, c->width);
        if (!c->bins) {
            c->base = number;
            c->bins = 1;
            return bins;
        }
        int64_t place = number - c->base; /* of two bins: it cannot overflow, since a bin has a millisecond */
        if (place >= 0 && place < (int64_t)room) {
            if ((uint64_t)place >= c->bins) c->bins = (uint64_t)place + 1;
            return bins + place;
        }
        if (place < 0 && (uint64_t)-place + c->bins <= room) {
            memmove(bins - place, bins, c->bins * sizeof *bins);
            memset(bins, 0, (size_t)-place * sizeof *bins);
            c->base = number;
            c->bins += (uint64_t)-place;
            return bins;
        }
        widen(c, bins);
    }
}

struct tables {
    struct counts *c;
    struct bin *bins;
    uint64_t bin_room;
    struct flow *flows;
    uint64_t flow_room, *index, mask, seed;
    const uint32_t *weights; /* of a packet, by its interface */
    struct bin *bin; /* of the last packet: most often, that of the next; NULL: none yet */
    int64_t bin_begin; /* its first nanosecond */
};

INLINE struct bin *bin_of(struct tables *t, int64_t time) {
    struct counts *c = t->c;
    if (t->bin && time >= t->bin_begin && (uint64_t)time - (uint64_t)t->bin_begin < (uint64_t)c->width) return t->bin;
    struct bin *found = bin_at(c, t->bins, t->bin_room, time);
    int64_t number = floor_div(time, c->width);
    t->bin = number >= INT64_MIN / c->width ? found : NULL; /* else it begins before all times */
    if (t->bin) t->bin_begin = number * c->width;
    return found;
}

/* A parsed packet and its flow's hash, computed some packets ahead, so that memory is prefetched. */
struct looked {
    struct headers h;
    const struct layer *layer; /* the innermost; without a version, it is not IP */
    uint64_t key[5], hash; /* the first 40 bytes of its flow */
    int icmp; /* whether its type was there to be read */
    uint32_t link;
};

INLINE void look(struct looked *p, const uint8_t *at, const uint8_t *end, uint32_t link, uint64_t seed) {
    dissect_one(&p->h, at, end, link);
    p->link = link;
    const struct layer *l = p->layer = p->h.inner.version ? &p->h.inner : &p->h.outer;
    if (!l->version) return;
    /* Where this layer is cut, it is cut before the end of the header that it leads to. */
    p->icmp = (l->protocol == ICMP || l->protocol == ICMP6) && l->fragment != 2 && !p->h.cut;
    struct flow key;
    memcpy(key.source, l->source, 16);
    memcpy(key.destination, l->destination, 16);
    key.source_port = p->icmp ? l->icmp_type : l->source_port;
    key.destination_port = p->icmp ? l->icmp_code : l->destination_port;
    key.protocol = l->protocol;
    key.version = l->version;
    key.tunnel = p->h.tunnel;
    key.ports = p->icmp || l->ports;
    memcpy(p->key, &key, 40);
    p->hash = hash_of(p->key, 5, seed);
}

INLINE void fetch_flow(const struct tables *t, const struct looked *p) {
    uint64_t place = (t->index[p->hash & t->mask] & 0xffffffffu) - 1;
    if (place < t->c->flows) {
        __builtin_prefetch(t->flows + place, 1);
        __builtin_prefetch((const uint8_t *)(t->flows + place) + 64, 1);
    }
}

enum { COUNTED, FULL, BAD };

/* Counts a packet, unless the table of flows is full and must be emptied first. */
static int count_one(struct tables *t, const struct row *row, const struct looked *p, const uint8_t *data) {
    struct counts *c = t->c;
    uint64_t n = t->weights[row->interface], wire = row->wire * n;
    const struct headers *h = &p->h;
    const struct layer *l = p->layer;
    if (l->version) {
        int what, icmp = p->icmp;
        uint64_t at = find(t->index, t->mask, (const uint8_t *)t->flows, c->flows, sizeof(struct flow), p->key, 5,
                           p->hash, &what);
        struct flow *flow;
        if (what == BROKEN) return BAD;
        if (what == FOUND) {
            flow = t->flows + at;
        } else {
            if (c->flows >= t->flow_room) return FULL;
            t->index[at] = p->hash >> 32 << 32 | (c->flows + 1);
            flow = t->flows + c->flows++;
            memset(flow, 0, sizeof *flow);
            memcpy(flow, p->key, 40);
            flow->first = INT64_MAX;
            flow->last = INT64_MIN;
            flow->ttl_low = flow->ttl_high = l->ttl;
        }
        flow->packets += n;
        flow->bytes += wire;
        flow->samples++;
        if (row->time != NO_TIME) {
            if (row->time < flow->first) flow->first = row->time;
            if (row->time > flow->last) flow->last = row->time;
        }
        if (l->fragment) flow->fragments = n < UINT32_MAX - flow->fragments ? flow->fragments + (uint32_t)n : UINT32_MAX;
        flow->tcp_flags |= l->tcp_flags;
        if (l->payload) flow->signs |= PAYLOAD;
        if (l->protocol == TCP && l->tcp_words == 5) {
            if ((l->tcp_flags & 0x12) == 2) flow->signs |= BARE_SYN;
            if ((l->tcp_flags & 0x16) == 0x10) flow->signs |= NO_OPTIONS;
        }
        if (l->ttl < flow->ttl_low) flow->ttl_low = l->ttl;
        if (l->ttl > flow->ttl_high) flow->ttl_high = l->ttl;
        add(c->version + (l->version == 6), n, wire);
        add(c->protocol + l->protocol, n, wire);
        if (h->tunnel) {
            add(c->tunnel + h->tunnel, n, wire);
            if (h->tunnel < VXLAN || h->inner.version) count_tunnel(c, &h->outer);
        }
        c->ttl[l->ttl] += n;
        c->options += l->options ? n : 0;
        if (l->fragment) {
            c->fragments += n;
            c->later += l->fragment == 2 ? n : 0;
        }
        if (l->protocol == TCP && l->ports && !h->cut) add(c->tcp_flags + l->tcp_flags, n, wire);
        if (l->protocol == UDP && h->body && (l->destination_port == 53 || l->source_port == 53)) {
            const uint8_t *at = data + row->start;
            count_name(&c->names, at + h->body, at + row->captured, l->destination_port == 53, t->seed);
        }
        if (icmp) add((l->protocol == ICMP ? c->icmp4 : c->icmp6) + l->icmp_type, n, wire);
    } else {
        add(c->version + 2, n, wire);
        if (h->unknown)
            add(c->link + (p->link < LINKS ? p->link : LINKS - 1), n, wire);
        else
            add(c->ether + h->ether_type, n, wire);
    }
    if (h->vlan) c->vlan[h->vlan & 0xfff] += n;
    c->cut += h->cut ? n : 0;
    if (row->time == NO_TIME) {
        c->untimed += n;
    } else {
        struct bin *bin = bin_of(t, row->time);
        bin->packets += n;
        bin->bytes += wire;
        if (l->version) {
            if (l->protocol == TCP) bin->tcp += n;
            if (l->protocol == UDP) bin->udp += n;
            if (l->protocol == ICMP || l->protocol == ICMP6) bin->icmp += n;
        }
        if (row->time < c->first) c->first = row->time;
        if (row->time > c->last) c->last = row->time;
    }
    if (!c->samples++) c->smallest = c->largest = row->wire;
    if (row->wire < c->smallest) c->smallest = row->wire;
    if (row->wire > c->largest) c->largest = row->wire;
    c->size[row->wire < LONGEST ? row->wire : LONGEST] += n;
    c->packets += n;
    c->squares += (double)n * (double)n;
    c->wire += wire;
    c->captured += row->captured;
    return COUNTED;
}

/* Whether an index of `length` bytes has at least twice as many entries as its table has rows. */
static int index_fits(const Py_buffer *index, uint64_t room) {
    uint64_t entries = (uint64_t)index->len / 8;
    return index->len % 8 == 0 && entries && !(entries & (entries - 1)) && room && room <= entries / 2 &&
           room < UINT32_MAX;
}

/* Whether a timeline is one that this module may have made: its numbers can be added without overflow. */
static int timeline_fits(const struct counts *c, uint64_t room) {
    if (room < 16 || room > 1 << 30 || c->bins > room || c->width < BASE_WIDTH || c->width > INT64_MAX / 4) return 0;
    return !c->bins || (c->base >= INT64_MIN / c->width - 1 && c->base <= INT64_MAX / c->width);
}

/* tally(data, rows, begin, link_types, weights, counts, bins, flows, index, seed) -> how many rows were counted in all */
static PyObject *tally(PyObject *self, PyObject *args) {
    Py_buffer data, rows, links, weights, counts, bins, flows, index;
    Py_ssize_t begin;
    unsigned long long seed;
    PyObject *result = NULL;
    if (!PyArg_ParseTuple(args, "y*y*ny*y*w*w*w*w*K", &data, &rows, &begin, &links, &weights, &counts, &bins, &flows, &index,
                          &seed))
        return NULL;
    Py_ssize_t count = rows.len / (Py_ssize_t)sizeof(struct row), known = links.len / 4, i = begin;
    struct tables t = {counts.buf, bins.buf, (uint64_t)bins.len / sizeof(struct bin), flows.buf,
                       (uint64_t)flows.len / sizeof(struct flow), index.buf, (uint64_t)index.len / 8 - 1, seed, weights.buf, NULL, 0};
    if (!aligned(&rows) || (uintptr_t)links.buf % 4 || (uintptr_t)weights.buf % 4 || weights.len != links.len || !aligned(&counts) || !aligned(&bins) || !aligned(&flows) ||
        !aligned(&index) || rows.len % sizeof(struct row) || counts.len != sizeof(struct counts) ||
        bins.len % sizeof(struct bin) || flows.len % sizeof(struct flow) || !index_fits(&index, t.flow_room) ||
        !timeline_fits(t.c, t.bin_room) || t.c->flows > t.flow_room || begin < 0 || begin > count) {
        PyErr_SetString(PyExc_ValueError, "the tables do not fit each other");
    } else {
        int bad = 0, went = COUNTED;
        Py_BEGIN_ALLOW_THREADS
        const uint32_t *link = links.buf;
        const struct row *row = (const struct row *)rows.buf;
        struct looked ahead[AHEAD];
        while (i < count && went == COUNTED && !bad) {
            int ready = 0, done = 0;
            for (; ready < AHEAD && i + ready < count; ready++) {
                const struct row *r = row + i + ready;
                if (r->interface >= known || (Py_ssize_t)r->start + (Py_ssize_t)r->captured > data.len) {
                    bad = 1;
                    break;
                }
                __builtin_prefetch((const uint8_t *)data.buf + r->start);
            }
            for (int k = 0; k < ready; k++) {
                const uint8_t *at = (const uint8_t *)data.buf + row[i + k].start;
                look(ahead + k, at, at + row[i + k].captured, link[row[i + k].interface], seed);
                if (ahead[k].layer->version) __builtin_prefetch(t.index + (ahead[k].hash & t.mask));
            }
            for (int k = 0; k < ready; k++)
                if (ahead[k].layer->version) fetch_flow(&t, ahead + k);
            while (done < ready && (went = count_one(&t, row + i + done, ahead + done, data.buf)) == COUNTED) done++;
            i += done;
        }
        Py_END_ALLOW_THREADS
        if (bad)
            PyErr_SetString(PyExc_ValueError, "a row points outside of its data or interfaces");
        else if (went == BAD)
            PyErr_SetString(PyExc_ValueError, "the index is not that of the flows");
        else
            result = PyLong_FromSsize_t(i);
    }
    PyBuffer_Release(&index);
    PyBuffer_Release(&flows);
    PyBuffer_Release(&bins);
    PyBuffer_Release(&counts);
    PyBuffer_Release(&weights);
    PyBuffer_Release(&links);
    PyBuffer_Release(&rows);
    PyBuffer_Release(&data);
    return result;
}

INLINE void note(uint8_t *registers, const uint64_t *key, int words) { note_in(registers, 12, key, words); }

/* mark(flows, registers): note each flow, for an estimate of how many there are (HyperLogLog) */
static PyObject *mark(PyObject *self, PyObject *args) {
    Py_buffer flows, registers;
    PyObject *result = NULL;
    if (!PyArg_ParseTuple(args, "y*w*", &flows, &registers)) return NULL;
    if (!aligned(&flows) || flows.len % sizeof(struct flow) || registers.len != REGISTERS) {
        PyErr_SetString(PyExc_ValueError, "the tables do not fit each other");
    } else {
        Py_BEGIN_ALLOW_THREADS
        const struct flow *flow = flows.buf;
        for (Py_ssize_t left = flows.len / (Py_ssize_t)sizeof *flow; left > 0; left--, flow++) {
            uint64_t key[5];
            memcpy(key, flow, 40);
            note(registers.buf, key, 5);
        }
        Py_END_ALLOW_THREADS
        result = Py_NewRef(Py_None);
    }
    PyBuffer_Release(&registers);
    PyBuffer_Release(&flows);
    return result;
}

/* gather(flows, begin, destination, talkers, used, index, registers, seed) -> (flows gathered in all, talkers used)
 *
 * Adds up flows by one of their addresses. `registers` estimates how many addresses there are (HyperLogLog). */
static PyObject *gather(PyObject *self, PyObject *args) {
    Py_buffer flows, talkers, index, registers;
    Py_ssize_t begin, used;
    int destination;
    unsigned long long seed;
    PyObject *result = NULL;
    if (!PyArg_ParseTuple(args, "y*npw*nw*w*K", &flows, &begin, &destination, &talkers, &used, &index, &registers,
                          &seed))
        return NULL;
    Py_ssize_t count = flows.len / (Py_ssize_t)sizeof(struct flow), i = begin;
    Py_ssize_t room = talkers.len / (Py_ssize_t)sizeof(struct talker);
    uint64_t mask = (uint64_t)index.len / 8 - 1;
    int what = MISSING;
    if (!aligned(&flows) || !aligned(&talkers) || !aligned(&index) || flows.len % sizeof(struct flow) ||
        talkers.len % sizeof(struct talker) || !index_fits(&index, (uint64_t)room) || used > room || used < 0 ||
        begin < 0 || begin > count || registers.len != REGISTERS) {
        PyErr_SetString(PyExc_ValueError, "the tables do not fit each other");
    } else {
        Py_BEGIN_ALLOW_THREADS
        struct talker *table = talkers.buf;
        uint8_t *register_of = registers.buf;
        for (; i < count; i++) {
            const struct flow *flow = (const struct flow *)flows.buf + i;
            uint64_t key[2];
            memcpy(key, destination ? flow->destination : flow->source, 16);
            uint64_t hash = hash_of(key, 2, seed);
            uint64_t at = find(index.buf, mask, talkers.buf, (uint64_t)used, sizeof *table, key, 2, hash, &what);
            if (what == BROKEN) break;
            if (what == MISSING) {
                if (used >= room) break;
                ((uint64_t *)index.buf)[at] = hash >> 32 << 32 | ((uint64_t)used + 1);
                at = (uint64_t)used++;
                memset(table + at, 0, sizeof *table);
                memcpy(table + at, key, 16);
            }
            table[at].packets += flow->packets;
            table[at].bytes += flow->bytes;
            table[at].flows++;
            note(register_of, key, 2);
        }
        Py_END_ALLOW_THREADS
        if (what == BROKEN)
            PyErr_SetString(PyExc_ValueError, "the index is not that of the addresses");
        else
            result = Py_BuildValue("(nn)", i, used);
    }
    PyBuffer_Release(&registers);
    PyBuffer_Release(&index);
    PyBuffer_Release(&talkers);
    PyBuffer_Release(&flows);
    return result;
}

/* reindex(talkers, used, index, seed): put the first `used` talkers into an empty index */
static PyObject *reindex(PyObject *self, PyObject *args) {
    Py_buffer talkers, index;
    Py_ssize_t used;
    unsigned long long seed;
    PyObject *result = NULL;
    if (!PyArg_ParseTuple(args, "y*nw*K", &talkers, &used, &index, &seed)) return NULL;
    uint64_t mask = (uint64_t)index.len / 8 - 1, room = (uint64_t)talkers.len / sizeof(struct talker);
    if (!aligned(&talkers) || !aligned(&index) || talkers.len % sizeof(struct talker) || !index_fits(&index, room) ||
        used < 0 || (uint64_t)used > room) {
        PyErr_SetString(PyExc_ValueError, "the tables do not fit each other");
    } else {
        const struct talker *table = talkers.buf;
        memset(index.buf, 0, (size_t)index.len);
        for (Py_ssize_t i = 0; i < used; i++) {
            uint64_t key[2];
            memcpy(key, table[i].address, 16);
            uint64_t hash = hash_of(key, 2, seed), at = hash & mask;
            while (((uint64_t *)index.buf)[at]) at = (at + 1) & mask;
            ((uint64_t *)index.buf)[at] = hash >> 32 << 32 | ((uint64_t)i + 1);
        }
        result = Py_NewRef(Py_None);
    }
    PyBuffer_Release(&index);
    PyBuffer_Release(&talkers);
    return result;
}

static PyMethodDef methods[] = {
    {"tally", tally, METH_VARARGS, "Count packets, until all are or the table of flows is full."},
    {"gather", gather, METH_VARARGS, "Add up flows by address, until all are or the table is full."},
    {"mark", mark, METH_VARARGS, "Note flows for an estimate of how many there are."},
    {"reindex", reindex, METH_VARARGS, "Make the index of a table of addresses anew."},
    {NULL, NULL, 0, NULL},
};

static int execute(PyObject *module) {
    return PyModule_AddIntConstant(module, "COUNTS_SIZE", sizeof(struct counts)) ||
           PyModule_AddIntConstant(module, "BIN_SIZE", sizeof(struct bin)) ||
           PyModule_AddIntConstant(module, "FLOW_SIZE", sizeof(struct flow)) ||
           PyModule_AddIntConstant(module, "TALKER_SIZE", sizeof(struct talker)) ||
           PyModule_AddIntConstant(module, "BASE_WIDTH", BASE_WIDTH) ||
           PyModule_AddIntConstant(module, "LONGEST", LONGEST) ||
           PyModule_AddIntConstant(module, "LINKS", LINKS) ||
           PyModule_AddIntConstant(module, "REGISTERS", REGISTERS) ||
           PyModule_AddIntConstant(module, "SUFFIXES", SUFFIXES) ||
           PyModule_AddIntConstant(module, "SUFFIX_TEXT", SUFFIX_TEXT) ||
           PyModule_AddIntConstant(module, "NAME_REGISTERS", NAME_REGISTERS) ||
           PyModule_AddIntConstant(module, "SUFFIX_REGISTERS", SUFFIX_REGISTERS) ||
           PyModule_AddIntConstant(module, "ENDS", ENDS);
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, execute}, {0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "edgecap.packets.native.tally", "Counting packets and flows.", 0, methods, slots,
    NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit_tally(void) { return PyModuleDef_Init(&definition); }
