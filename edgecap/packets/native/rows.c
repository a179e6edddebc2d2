/* Rows of Logpush's dataset network_analytics_logs: reading them from NDJSON, and making packets of them.
 *
 * `read` fills records from lines until there is no whole line left or no room. A line that is not a JSON object, or
 * is a row of another dataset, is counted and skipped. `build` makes pcapng blocks with the headers that a record
 * describes. Texts are kept once each, and records carry their numbers. All memory is Python's; rows.py repeats the
 * layouts and checks their sizes on import.
 */
#include "packets.h"
#include <arpa/inet.h>
#include <stddef.h>
#include <stdio.h>

struct record {
    int64_t time; /* nanoseconds since 1970; NO_TIME: none that can be read */
    uint64_t present; /* a bit for each field that was read, in the order of FIELDS */
    uint8_t source[16], destination[16]; /* IPv4 as ::ffff:a.b.c.d */
    uint32_t sample_interval, source_asn;
    uint32_t system, reason, rule, rule_name, attack, vector, colo, country, asn_name; /* numbers of texts; 0: none */
    uint32_t tcp_sequence, tcp_acknowledgement, timestamp_value, timestamp_echo;
    uint32_t gre_key, gre_sequence, flow_label, identification;
    uint16_t source_port, destination_port, total_length, fragment_offset;
    uint16_t ip_checksum, tcp_checksum, udp_checksum, icmp_checksum, gre_checksum;
    uint16_t tcp_window, tcp_urgent, mss, udp_payload, gre_type;
    uint8_t protocol, version, ttl, ip_header, dscp, ecn, dont_fragment, more_fragments;
    uint8_t tcp_flags, tcp_offset, window_scale, sack_permitted, icmp_type, icmp_code, gre_version, gre_header;
    uint8_t outcome; /* PASS, DROP, OTHER; 0: not in the row */
    uint8_t ingress; /* 1 ingress, 2 egress, 0 not in the row */
    uint8_t unused[6];
};

enum { PASS = 1, DROP, OTHER_OUTCOME };
enum kind { NUMBER, TEXT, SOURCE, DESTINATION, TIME, OUTCOME, DIRECTION, PROTOCOL_NAME };

/* Field of the dataset, kind, member. At most 64. Cloudflare's reference of the dataset has the names. */
#define FIELDS(X) \
    X(DATETIME, "Datetime", TIME, time) \
    X(IP_SOURCE, "IPSourceAddress", SOURCE, source) \
    X(IP_DESTINATION, "IPDestinationAddress", DESTINATION, destination) \
    X(PROTOCOL, "IPProtocol", NUMBER, protocol) \
    X(PROTOCOL_TEXT, "IPProtocolName", PROTOCOL_NAME, protocol) \
    X(OUTCOME_TEXT, "Outcome", OUTCOME, outcome) \
    X(SAMPLE_INTERVAL, "SampleInterval", NUMBER, sample_interval) \
    X(SYSTEM, "MitigationSystem", TEXT, system) \
    X(REASON, "MitigationReason", TEXT, reason) \
    X(RULE, "RuleID", TEXT, rule) \
    X(RULE_NAME, "RuleName", TEXT, rule_name) \
    X(ATTACK, "AttackID", TEXT, attack) \
    X(VECTOR, "AttackVector", TEXT, vector) \
    X(COLO, "ColoCode", TEXT, colo) \
    X(COUNTRY, "SourceCountry", TEXT, country) \
    X(SOURCE_ASN, "SourceASN", NUMBER, source_asn) \
    X(ASN_NAME, "SourceASNName", TEXT, asn_name) \
    X(DIRECTED, "Direction", DIRECTION, ingress) \
    X(SOURCE_PORT, "SourcePort", NUMBER, source_port) \
    X(DESTINATION_PORT, "DestinationPort", NUMBER, destination_port) \
    X(TOTAL_LENGTH, "IPTotalLength", NUMBER, total_length) \
    X(IP_HEADER, "IPHeaderLength", NUMBER, ip_header) \
    X(TTL, "IPTTL", NUMBER, ttl) \
    X(FRAGMENT_OFFSET, "IPFragmentOffset", NUMBER, fragment_offset) \
    X(MORE_FRAGMENTS, "IPMoreFragments", NUMBER, more_fragments) \
    X(DONT_FRAGMENT, "IPv4DontFragment", NUMBER, dont_fragment) \
    X(IP_CHECKSUM, "IPv4Checksum", NUMBER, ip_checksum) \
    X(DSCP4, "IPv4DSCP", NUMBER, dscp) \
    X(ECN4, "IPv4ECN", NUMBER, ecn) \
    X(IDENTIFICATION4, "IPv4Identification", NUMBER, identification) \
    X(DSCP6, "IPv6DSCP", NUMBER, dscp) \
    X(ECN6, "IPv6ECN", NUMBER, ecn) \
    X(FLOW_LABEL, "IPv6FlowLabel", NUMBER, flow_label) \
    X(IDENTIFICATION6, "IPv6Identification", NUMBER, identification) \
    X(TCP_FLAGS, "TCPFlags", NUMBER, tcp_flags) \
    X(TCP_SEQUENCE, "TCPSequenceNumber", NUMBER, tcp_sequence) \
    X(TCP_ACKNOWLEDGEMENT, "TCPAcknowledgementNumber", NUMBER, tcp_acknowledgement) \
    X(TCP_OFFSET, "TCPDataOffset", NUMBER, tcp_offset) \
    X(TCP_WINDOW, "TCPWindowSize", NUMBER, tcp_window) \
    X(TCP_URGENT, "TCPUrgentPointer", NUMBER, tcp_urgent) \
    X(TCP_CHECKSUM, "TCPChecksum", NUMBER, tcp_checksum) \
    X(TCP_MSS, "TCPMSS", NUMBER, mss) \
    X(TCP_SCALE, "TCPWindowScale", NUMBER, window_scale) \
    X(TCP_SACK, "TCPSACKPermitted", NUMBER, sack_permitted) \
    X(TCP_STAMP, "TCPTimestampValue", NUMBER, timestamp_value) \
    X(TCP_ECHO, "TCPTimestampECR", NUMBER, timestamp_echo) \
    X(UDP_CHECKSUM, "UDPChecksum", NUMBER, udp_checksum) \
    X(UDP_PAYLOAD, "UDPPayloadLength", NUMBER, udp_payload) \
    X(ICMP_TYPE, "ICMPType", NUMBER, icmp_type) \
    X(ICMP_CODE, "ICMPCode", NUMBER, icmp_code) \
    X(ICMP_CHECKSUM, "ICMPChecksum", NUMBER, icmp_checksum) \
    X(GRE_CHECKSUM, "GREChecksum", NUMBER, gre_checksum) \
    X(GRE_TYPE, "GREEtherType", NUMBER, gre_type) \
    X(GRE_HEADER, "GREHeaderLength", NUMBER, gre_header) \
    X(GRE_KEY, "GREKey", NUMBER, gre_key) \
    X(GRE_SEQUENCE, "GRESequenceNumber", NUMBER, gre_sequence) \
    X(GRE_VERSION, "GREVersion", NUMBER, gre_version)

#define AS_NUMBER(name, text, kind, member) F_##name,
#define AS_FIELD(name, text, kind, member) \
    {text, sizeof(text) - 1, kind, offsetof(struct record, member), sizeof(((struct record *)0)->member)},

enum field_number { FIELDS(AS_NUMBER) F_COUNT };

static const struct field {
    const char *name;
    size_t length;
    enum kind kind;
    size_t at, size;
} fields[] = {FIELDS(AS_FIELD)};

#define HAS(r, field) ((r)->present >> F_##field & 1)

/* Which field has a name: slots of a hash, filled once. */
enum { SLOTS = 1024 };
static uint8_t slot_of[SLOTS]; /* a field's number plus one */

INLINE uint32_t slot(const uint8_t *name, size_t length) {
    uint32_t hash = (uint32_t)length * 0x9e3779b1u;
    hash = (hash ^ name[length / 2]) * 0x85ebca6bu;
    hash = (hash ^ (uint32_t)(name[length - 1] | name[length > 3 ? 3 : 0] << 8)) * 0xc2b2ae35u;
    return (hash ^ hash >> 15 ^ name[0]) & (SLOTS - 1);
}

static void fill_slots(void) {
    memset(slot_of, 0, sizeof slot_of);
    for (int i = 0; i < F_COUNT; i++) {
        uint32_t at = slot((const uint8_t *)fields[i].name, fields[i].length);
        while (slot_of[at]) at = (at + 1) & (SLOTS - 1);
        slot_of[at] = (uint8_t)(i + 1);
    }
}

INLINE int field_of(const uint8_t *name, size_t length) {
    if (!length) return -1;
    for (uint32_t at = slot(name, length); slot_of[at]; at = (at + 1) & (SLOTS - 1)) {
        int number = slot_of[at] - 1;
        if (fields[number].length == length && !memcmp(fields[number].name, name, length)) return number;
    }
    return -1;
}

/* Texts, each once. */
struct text { uint32_t at, hash; uint16_t length, unused; };

struct texts {
    uint32_t *index; /* number of a text, 0 for free */
    uint64_t mask;
    struct text *entries; /* the first is not used */
    uint64_t room;
    uint8_t *pool;
    uint64_t pool_room;
    uint64_t *state; /* texts in use, bytes in use, texts that found no room */
    uint32_t seed;
};

enum { LONGEST_TEXT = 255 };

/* Rows of a file have the same fields in the same order, and often the same texts: what the row before had. */
enum { GUESSES = 128, LONGEST_NAME = 30 };

struct guesses {
    struct { uint8_t name[LONGEST_NAME + 1], length; int8_t field; } key[GUESSES];
    uint32_t text[F_COUNT]; /* numbers */
};

static uint32_t number_of(struct texts *t, const uint8_t *at, size_t length) {
    if (!length) return 0;
    if (length > LONGEST_TEXT) length = LONGEST_TEXT;
    uint32_t hash = t->seed ^ (uint32_t)length;
    for (size_t i = 0; i < length; i++) hash = (hash ^ at[i]) * 0x01000193u + (hash >> 15);
    uint64_t place = (hash ^ hash >> 16) & t->mask;
    for (;; place = (place + 1) & t->mask) {
        uint32_t number = t->index[place];
        if (!number) break;
        const struct text *e = t->entries + number;
        if (e->hash == hash && e->length == length && !memcmp(t->pool + e->at, at, length)) return number;
    }
    if (t->state[0] >= t->room || t->state[1] + length > t->pool_room) {
        t->state[2]++;
        return 0;
    }
    uint32_t number = (uint32_t)t->state[0]++;
    t->entries[number] = (struct text){(uint32_t)t->state[1], hash, (uint16_t)length, 0};
    memcpy(t->pool + t->state[1], at, length);
    t->state[1] += length;
    t->index[place] = number;
    return number;
}

/* JSON. A reader stands at `at`, before `end`; a function that fails gives 0. */
struct reader { const uint8_t *at, *end; };

INLINE void blanks(struct reader *r) {
    while (r->at < r->end && *r->at <= ' ' && (*r->at == ' ' || *r->at == '\t' || *r->at == '\r' || *r->at == '\n')) r->at++;
}

#define ONES 0x0101010101010101u

/* A string: from behind its first quote to behind its last. */
INLINE int string(struct reader *r, const uint8_t **begin, size_t *length) {
    const uint8_t *at = r->at;
    *begin = at;
    for (;;) {
        /* Eight bytes at a time as long as none of them is a quote or a backslash. */
        while (r->end - at >= 8) {
            uint64_t word;
            memcpy(&word, at, 8);
            uint64_t quote = word ^ 0x2222222222222222u, back = word ^ 0x5c5c5c5c5c5c5c5cu;
            uint64_t found = ((quote - ONES) & ~quote) | ((back - ONES) & ~back);
            found &= 0x8080808080808080u;
            if (found) {
                at += __builtin_ctzll(found) / 8;
                break;
            }
            at += 8;
        }
        while (at < r->end && *at != '"' && *at != '\\') at++;
        if (at >= r->end) return 0;
        if (*at == '"') break;
        at += 2;
        if (at >= r->end) return 0;
    }
    *length = (size_t)(at - *begin);
    r->at = at + 1;
    return 1;
}

/* Anything that is a list or an object; its inside is only checked as far as brackets and strings. */
static int nested(struct reader *r) {
    int depth = 0;
    while (r->at < r->end) {
        uint8_t c = *r->at++;
        if (c == '[' || c == '{') depth++;
        if ((c == ']' || c == '}') && --depth == 0) return 1;
        if (c == '"') {
            const uint8_t *begin;
            size_t length;
            if (!string(r, &begin, &length)) return 0;
        }
    }
    return 0;
}

/* A number without a sign: whole, and nanoseconds of its fraction. 0 if it is none, or too large. */
static int number(const uint8_t *at, const uint8_t *end, uint64_t *whole, uint32_t *fraction) {
    const uint8_t *begin = at;
    uint64_t value = 0;
    *fraction = 0;
    while (at < end && *at >= '0' && *at <= '9') {
        if (value > (UINT64_MAX - 9) / 10) return 0;
        value = value * 10 + (uint64_t)(*at++ - '0');
    }
    if (at == begin) return 0;
    *whole = value;
    if (at == end) return 1;
    if (*at == '.') {
        uint32_t unit = 100000000;
        const uint8_t *digits = ++at;
        for (; at < end && *at >= '0' && *at <= '9'; at++, unit /= 10) *fraction += (uint32_t)(*at - '0') * unit;
        if (at == digits) return 0;
        if (at == end) return 1;
    }
    char text[40]; /* with an exponent: rare */
    size_t length = (size_t)(end - begin);
    if (length >= sizeof text) return 0;
    memcpy(text, begin, length);
    text[length] = 0;
    char *stop;
    double exact = strtod(text, &stop);
    if (*stop || !(exact >= 0 && exact < 9e18)) return 0;
    *whole = (uint64_t)exact;
    *fraction = (uint32_t)((exact - (double)*whole) * 1e9);
    return 1;
}

INLINE int digits(const uint8_t **at, const uint8_t *end, int count, int *value) {
    *value = 0;
    if (end - *at < count) return 0;
    for (int i = 0; i < count; i++) {
        uint8_t c = *(*at)++;
        if (c < '0' || c > '9') return 0;
        *value = *value * 10 + (c - '0');
    }
    return 1;
}

static int64_t days(int year, int month, int day) { /* since 1970, of the Gregorian calendar */
    year -= month <= 2;
    int era = year / 400, of_era = year - era * 400;
    int of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return (int64_t)era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

/* RFC 3339, with a blank in place of the T too. */
static int rfc3339(const uint8_t *at, const uint8_t *end, int64_t *time) {
    static const int most[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year, month, day, hour, minute, second;
    if (!digits(&at, end, 4, &year) || at >= end || *at++ != '-' || !digits(&at, end, 2, &month) || at >= end ||
        *at++ != '-' || !digits(&at, end, 2, &day) || at >= end)
        return 0;
    if ((*at != 'T' && *at != 't' && *at != ' ') || month < 1 || month > 12 || day < 1 || day > most[month - 1]) return 0;
    at++;
    if (!digits(&at, end, 2, &hour) || at >= end || *at++ != ':' || !digits(&at, end, 2, &minute) || at >= end ||
        *at++ != ':' || !digits(&at, end, 2, &second) || hour > 23 || minute > 59 || second > 60 || year < 1678 ||
        year > 2261)
        return 0;
    int64_t nanoseconds = 0;
    if (at < end && *at == '.') {
        int64_t unit = 100000000;
        const uint8_t *first = ++at;
        for (; at < end && *at >= '0' && *at <= '9'; at++, unit /= 10) nanoseconds += (*at - '0') * unit;
        if (at == first) return 0;
    }
    int64_t shift = 0;
    if (at < end && (*at == 'Z' || *at == 'z')) {
        at++;
    } else if (at < end && (*at == '+' || *at == '-')) {
        int sign = *at++ == '-' ? -1 : 1, hours, minutes;
        if (!digits(&at, end, 2, &hours) || at >= end || *at++ != ':' || !digits(&at, end, 2, &minutes)) return 0;
        shift = sign * (hours * 3600 + minutes * 60);
    } else {
        return 0;
    }
    if (at != end) return 0;
    *time = ((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second - shift;
    *time = *time * 1000000000 + nanoseconds;
    return 1;
}

/* The unit of a time follows from its size: seconds until the year 5138, then milliseconds and so on from 1973 on. */
static int stamp(uint64_t whole, uint32_t fraction, int64_t *time) {
    uint64_t unit = whole < 100000000000u ? 1000000000 : whole < 100000000000000u ? 1000000
                    : whole < 100000000000000000u ? 1000 : 1;
    if (whole > (uint64_t)INT64_MAX / unit - 1) return 0;
    *time = (int64_t)(whole * unit + (uint64_t)fraction * unit / 1000000000);
    return 1;
}

static int address(const uint8_t *at, size_t length, uint8_t *to) {
    uint32_t value = 0, part = 0;
    int dots = 0, any = 0;
    size_t i = 0;
    for (; i < length; i++) {
        uint8_t c = at[i];
        if (c >= '0' && c <= '9') {
            part = part * 10 + (uint32_t)(c - '0');
            if (part > 255) break; /* of IPv6, or none */
            any = 1;
        } else if (c == '.' && any && dots < 3) {
            value = value << 8 | part;
            part = 0;
            any = 0;
            dots++;
        } else {
            break;
        }
    }
    memset(to, 0, 16);
    if (i == length && dots == 3 && any) {
        value = value << 8 | part;
        to[10] = to[11] = 0xff;
        for (int k = 0; k < 4; k++) to[12 + k] = (uint8_t)(value >> (24 - 8 * k));
        return 1;
    }
    char text[INET6_ADDRSTRLEN];
    if (length >= sizeof text) return 0;
    memcpy(text, at, length);
    text[length] = 0;
    return inet_pton(AF_INET6, text, to) == 1;
}

INLINE int is(const uint8_t *at, size_t length, const char *word) {
    size_t size = strlen(word);
    if (length != size) return 0;
    for (size_t i = 0; i < size; i++)
        if ((at[i] | 32) != (uint8_t)word[i]) return 0;
    return 1;
}

static int protocol_of(const uint8_t *at, size_t length, uint8_t *to) {
    static const struct { const char *name; uint8_t number; } known[] = {
        {"tcp", TCP}, {"udp", UDP}, {"icmp", ICMP}, {"gre", GRE}, {"esp", ESP}, {"ah", AH}, {"sctp", SCTP},
        {"icmpv6", ICMP6}, {"ipv6-icmp", ICMP6}, {"ipip", IPIP}, {"ipencap", IPIP}, {"ipv4", IPIP}, {"ipv6", IP6},
        {"igmp", 2}, {"pim", 103}, {"udplite", UDPLITE},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (is(at, length, known[i].name)) {
            *to = known[i].number;
            return 1;
        }
    return 0;
}

/* Take a value: a string or a number in digits, or true and false as 1 and 0. Gives whether it was understood. */
static int take(struct record *to, int number_of_field, const uint8_t *at, size_t length, int quoted, struct texts *t,
                struct guesses *g) {
    const struct field *f = fields + number_of_field;
    uint8_t *member = (uint8_t *)to + f->at;
    uint64_t whole;
    uint32_t fraction;
    switch (f->kind) {
    case NUMBER: {
        if (!number(at, at + length, &whole, &fraction)) return 0;
        if (f->size < 8 && whole >> (8 * f->size)) return 0;
        if (number_of_field == F_SAMPLE_INTERVAL && !whole) return 0;
        memcpy(member, &whole, f->size); /* little-endian, as everything that edgecap runs on */
        return 1;
    }
    case TEXT: {
        uint32_t found = g->text[number_of_field];
        const struct text *e = t->entries + found;
        if (!found || e->length != length || memcmp(t->pool + e->at, at, length)) found = number_of(t, at, length);
        g->text[number_of_field] = found;
        memcpy(member, &found, 4);
        return found != 0;
    }
    case SOURCE:
    case DESTINATION: {
        uint8_t bytes[16];
        if (!quoted || !address(at, length, bytes)) return 0;
        memcpy(member, bytes, 16);
        return 1;
    }
    case TIME:
        if (number(at, at + length, &whole, &fraction)) return stamp(whole, fraction, &to->time);
        return quoted && rfc3339(at, at + length, &to->time);
    case OUTCOME: *member = is(at, length, "drop") ? DROP : is(at, length, "pass") ? PASS : OTHER_OUTCOME; return length > 0;
    case DIRECTION: *member = is(at, length, "ingress") ? 1 : is(at, length, "egress") ? 2 : 0; return *member != 0;
    case PROTOCOL_NAME:
        if (HAS(to, PROTOCOL)) return 1;
        return protocol_of(at, length, member);
    }
    return 0;
}

enum line { USED, BLANK, BROKEN, FOREIGN };

/* A key, from behind its first quote to behind its last: *field is its field, or -1. */
INLINE int key(struct reader *r, struct guesses *g, int place, int *field) {
    if (place < GUESSES) {
        size_t length = g->key[place].length;
        if (length && r->end - r->at > (Py_ssize_t)length && !memcmp(r->at, g->key[place].name, length + 1)) {
            r->at += length + 1;
            *field = g->key[place].field;
            return 1;
        }
    }
    const uint8_t *name;
    size_t length;
    if (!string(r, &name, &length)) return 0;
    *field = field_of(name, length);
    if (place < GUESSES && length <= LONGEST_NAME) {
        memcpy(g->key[place].name, name, length + 1); /* with the quote behind it */
        g->key[place].length = (uint8_t)length;
        g->key[place].field = (int8_t)*field;
    }
    return 1;
}

static enum line read_line(struct reader r, struct record *to, struct texts *t, struct guesses *g, uint64_t *odd) {
    blanks(&r);
    if (r.at >= r.end) return BLANK;
    memset(to, 0, sizeof *to);
    to->time = NO_TIME;
    if (*r.at++ != '{') return BROKEN;
    int place = 0;
    blanks(&r);
    if (r.at < r.end && *r.at == '}') {
        r.at++;
    } else {
        for (;;) {
            const uint8_t *value;
            size_t size;
            int field;
            if (r.at >= r.end || *r.at++ != '"' || !key(&r, g, place++, &field)) return BROKEN;
            blanks(&r);
            if (r.at >= r.end || *r.at++ != ':') return BROKEN;
            blanks(&r);
            if (r.at >= r.end) return BROKEN;
            int known = field >= 0, good = 1, given = 1;
            uint8_t c = *r.at;
            if (c == '"') {
                r.at++;
                if (!string(&r, &value, &size)) return BROKEN;
                given = size > 0;
                if (known && given) good = take(to, field, value, size, 1, t, g);
            } else if (c == '{' || c == '[') {
                if (!nested(&r)) return BROKEN;
                good = !known;
            } else {
                value = r.at;
                while (r.at < r.end && *r.at != ',' && *r.at != '}' && *r.at > ' ') r.at++;
                size = (size_t)(r.at - value);
                if (size == 4 && !memcmp(value, "null", 4)) {
                    given = 0;
                } else if (size == 4 && !memcmp(value, "true", 4)) {
                    if (known) good = take(to, field, (const uint8_t *)"1", 1, 0, t, g);
                } else if (size == 5 && !memcmp(value, "false", 5)) {
                    if (known) good = take(to, field, (const uint8_t *)"0", 1, 0, t, g);
                } else if (size && (c == '-' || (c >= '0' && c <= '9'))) {
                    if (known) good = take(to, field, value, size, 0, t, g);
                } else {
                    return BROKEN;
                }
            }
            if (known && given) {
                if (good)
                    to->present |= (uint64_t)1 << field;
                else
                    ++*odd;
            }
            blanks(&r);
            if (r.at >= r.end) return BROKEN;
            if (*r.at == '}') {
                r.at++;
                break;
            }
            if (*r.at++ != ',') return BROKEN;
            blanks(&r);
        }
    }
    blanks(&r);
    if (r.at < r.end) return BROKEN;
    const uint64_t ours = (uint64_t)1 << F_IP_SOURCE | (uint64_t)1 << F_IP_DESTINATION | (uint64_t)1 << F_PROTOCOL |
                          (uint64_t)1 << F_PROTOCOL_TEXT;
    if (!(to->present & ours)) return FOREIGN;
    if (HAS(to, IP_DESTINATION) || HAS(to, IP_SOURCE)) {
        static const uint8_t four[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
        to->version = memcmp(HAS(to, IP_DESTINATION) ? to->destination : to->source, four, 12) ? 6 : 4;
        if (HAS(to, IP_DESTINATION) && HAS(to, IP_SOURCE) && (memcmp(to->source, four, 12) ? 6 : 4) != to->version) {
            to->present &= ~((uint64_t)1 << F_IP_SOURCE); /* of another version: no packet has that */
            ++*odd;
        }
    }
    return USED;
}

static int texts_from(struct texts *t, Py_buffer *index, Py_buffer *entries, Py_buffer *pool, Py_buffer *state) {
    uint64_t slots = (uint64_t)index->len / 4;
    t->index = index->buf;
    t->mask = slots - 1;
    t->entries = entries->buf;
    t->room = (uint64_t)entries->len / sizeof(struct text);
    t->pool = pool->buf;
    t->pool_room = (uint64_t)pool->len;
    t->state = state->buf;
    if (!slots || slots & (slots - 1) || t->room > slots / 2 || state->len != 4 * 8 || t->state[0] < 1 ||
        t->state[0] > t->room || t->state[1] > t->pool_room || t->pool_room > UINT32_MAX || !aligned(state) ||
        !aligned(entries) || !aligned(index)) {
        PyErr_SetString(PyExc_ValueError, "the tables of texts do not fit each other");
        return 0;
    }
    t->seed = (uint32_t)t->state[3];
    return 1;
}

/* read(data, begin, records, filled, index, entries, pool, state, counts) -> (position, filled)
 *
 * Reads whole lines from `begin` on. counts: lines, blank, broken, foreign, fields with a value that was not
 * understood. */
static PyObject *read_rows(PyObject *self, PyObject *args) {
    Py_buffer data, records, index, entries, pool, state, counts;
    Py_ssize_t begin, filled;
    PyObject *result = NULL;
    if (!PyArg_ParseTuple(args, "y*nw*nw*w*w*w*w*", &data, &begin, &records, &filled, &index, &entries, &pool, &state,
                          &counts))
        return NULL;
    struct texts t;
    Py_ssize_t room = records.len / (Py_ssize_t)sizeof(struct record);
    if (begin < 0 || begin > data.len || filled < 0 || filled > room || counts.len != 5 * 8 || !aligned(&counts) ||
        !aligned(&records)) {
        PyErr_SetString(PyExc_ValueError, "the tables do not fit each other");
    } else if (texts_from(&t, &index, &entries, &pool, &state)) {
        const uint8_t *at = (const uint8_t *)data.buf + begin, *end = (const uint8_t *)data.buf + data.len;
        struct record *to = (struct record *)records.buf + filled;
        uint64_t *count = counts.buf;
        struct guesses guesses;
        memset(&guesses, 0, sizeof guesses);
        Py_BEGIN_ALLOW_THREADS
        while (filled < room) {
            const uint8_t *stop = memchr(at, '\n', (size_t)(end - at));
            if (!stop) break;
            enum line found = read_line((struct reader){at, stop}, to, &t, &guesses, count + 4);
            count[0]++;
            if (found == USED) {
                to++;
                filled++;
            } else {
                count[found]++;
            }
            at = stop + 1;
        }
        Py_END_ALLOW_THREADS
        result = Py_BuildValue("(nn)", (Py_ssize_t)(at - (const uint8_t *)data.buf), filled);
    }
    PyBuffer_Release(&counts);
    PyBuffer_Release(&state);
    PyBuffer_Release(&pool);
    PyBuffer_Release(&entries);
    PyBuffer_Release(&index);
    PyBuffer_Release(&records);
    PyBuffer_Release(&data);
    return result;
}

/* Packets */

enum { LARGEST_HEADERS = 60 + 8 + 60, LARGEST_COMMENT = 700 };

/* What a row lacks that its packet would need. */
enum lack { LACKS_LENGTH, LACKS_TTL, LACKS_PORTS, LACKS_FLAGS, LACKS_SEQUENCE, LACKS_TCP_SUM, LACKS_UDP_SUM, LACKS_ICMP_TYPE,
            LACKS_ICMP_SUM, LACKS_ICMP_REST, LACKS_IP_OPTIONS, LACKS_TCP_OPTIONS, LACKS_GRE, LACK_COUNT };
static const char *const lack_words[] = {
    "length", "TTL", "ports", "TCP flags", "TCP sequence number", "TCP checksum", "UDP checksum", "ICMP type",
    "ICMP checksum", "rest of the ICMP header", "IP options", "TCP options", "GRE header",
};

INLINE void put16(uint8_t *to, uint32_t value) {
    to[0] = (uint8_t)(value >> 8);
    to[1] = (uint8_t)value;
}

INLINE void put32(uint8_t *to, uint32_t value) {
    put16(to, value >> 16);
    put16(to + 2, value);
}

static uint32_t sum(const uint8_t *at, size_t size, uint32_t begin) {
    for (; size > 1; at += 2, size -= 2) begin += net16(at);
    return size ? begin + (uint32_t)(at[0] << 8) : begin;
}

static uint16_t folded(uint32_t value) {
    while (value >> 16) value = (value & 0xffff) + (value >> 16);
    return (uint16_t)~value;
}

/* The checksum of TCP or UDP over a pseudo header and what is there. RFC 9293, 768, 8200. */
static uint16_t transport_sum(const struct record *r, const uint8_t *at, size_t size) {
    int skip = r->version == 4 ? 12 : 0;
    uint32_t begin = sum(r->source + skip, 16 - (size_t)skip, 0) + sum(r->destination + skip, 16 - (size_t)skip, 0);
    return folded(sum(at, size, begin + r->protocol + (uint32_t)size));
}

/* A header's length in words of four bytes: the field may hold words or bytes. */
INLINE uint32_t words(uint8_t value) { return value > 15 ? value / 4u : value; }

/* The options that a row tells of, behind a TCP header; gives their bytes. What they are followed by stays 0, their end. */
static uint32_t tcp_options(uint8_t *to, const struct record *r) {
    uint32_t size = 0;
    if (HAS(r, TCP_MSS) && r->mss) {
        to[size] = 2;
        to[size + 1] = 4;
        put16(to + size + 2, r->mss);
        size += 4;
    }
    if (HAS(r, TCP_SACK) && r->sack_permitted) {
        to[size] = 4;
        to[size + 1] = 2;
        size += 2;
    }
    if (HAS(r, TCP_STAMP) && (r->timestamp_value || r->timestamp_echo)) {
        to[size] = 8;
        to[size + 1] = 10;
        put32(to + size + 2, r->timestamp_value);
        put32(to + size + 6, r->timestamp_echo);
        size += 10;
    }
    if (HAS(r, TCP_SCALE) && r->window_scale) {
        to[size] = 3;
        to[size + 1] = 3;
        to[size + 2] = r->window_scale;
        size += 3;
    }
    return size;
}

static uint32_t tcp_header(uint8_t *to, const struct record *r, uint32_t left, uint32_t *lacks) {
    if (!HAS(r, TCP_FLAGS)) { /* a packet with made-up flags would look like an attack of its own */
        *lacks |= 1u << LACKS_FLAGS;
        put16(to, r->source_port);
        put16(to + 2, r->destination_port);
        return 4;
    }
    uint8_t options[40] = {0};
    uint32_t used = tcp_options(options, r), size = 5 + (used + 3) / 4;
    if (HAS(r, TCP_OFFSET) && words(r->tcp_offset) >= 5 && words(r->tcp_offset) <= 15) {
        size = words(r->tcp_offset);
        if (size * 4 - 20 < used) {
            memset(options, 0, sizeof options);
            used = 0;
        }
        if (size * 4 - 20 >= used + 4 || (size > 5 && !used)) *lacks |= 1u << LACKS_TCP_OPTIONS;
    } else if (!HAS(r, TCP_OFFSET)) {
        *lacks |= 1u << LACKS_TCP_OPTIONS;
    }
    if (left && size * 4 > left) size = 5; /* it says more than the packet has */
    if (!HAS(r, TCP_SEQUENCE)) *lacks |= 1u << LACKS_SEQUENCE;
    memset(to, 0, 20);
    put16(to, r->source_port);
    put16(to + 2, r->destination_port);
    put32(to + 4, r->tcp_sequence);
    put32(to + 8, r->tcp_acknowledgement);
    to[12] = (uint8_t)(size << 4);
    to[13] = r->tcp_flags;
    put16(to + 14, r->tcp_window);
    put16(to + 18, r->tcp_urgent);
    memcpy(to + 20, options, size * 4 - 20);
    if (left == size * 4)
        put16(to + 16, transport_sum(r, to, size * 4));
    else if (HAS(r, TCP_CHECKSUM))
        put16(to + 16, r->tcp_checksum);
    else
        *lacks |= 1u << LACKS_TCP_SUM;
    return size * 4;
}

static uint32_t udp_header(uint8_t *to, const struct record *r, uint32_t left, uint32_t *lacks) {
    uint32_t length = HAS(r, UDP_PAYLOAD) ? 8u + r->udp_payload : left ? left : 8;
    put16(to, r->source_port);
    put16(to + 2, r->destination_port);
    put16(to + 4, length > 0xffff ? 0 : length);
    put16(to + 6, 0);
    if (length == 8 && left == 8) {
        uint16_t found = transport_sum(r, to, 8);
        put16(to + 6, found ? found : 0xffff);
    } else if (HAS(r, UDP_CHECKSUM)) {
        put16(to + 6, r->udp_checksum);
    } else {
        *lacks |= 1u << LACKS_UDP_SUM;
    }
    return 8;
}

/* What follows type, code and checksum is in no row; without it, Wireshark would not read even those. */
static uint32_t icmp_header(uint8_t *to, const struct record *r, uint32_t left, uint32_t *lacks) {
    if (!HAS(r, ICMP_TYPE)) {
        *lacks |= 1u << LACKS_ICMP_TYPE;
        return 0;
    }
    memset(to, 0, 8);
    to[0] = r->icmp_type;
    to[1] = r->icmp_code;
    *lacks |= 1u << LACKS_ICMP_REST;
    if (left == 8)
        put16(to + 2, r->protocol == ICMP ? folded(sum(to, 8, 0)) : transport_sum(r, to, 8));
    else if (HAS(r, ICMP_CHECKSUM))
        put16(to + 2, r->icmp_checksum);
    else
        *lacks |= 1u << LACKS_ICMP_SUM;
    return 8;
}

static uint32_t gre_header(uint8_t *to, const struct record *r, uint32_t *lacks) {
    if (!HAS(r, GRE_TYPE)) {
        *lacks |= 1u << LACKS_GRE;
        return 0;
    }
    /* A field that is 0 may be absent in the packet: the length decides, then the value. */
    uint32_t size = 4, room = HAS(r, GRE_HEADER) && r->gre_header >= 4 ? r->gre_header : 0;
    uint16_t flags = r->gre_version & 7;
    int has_sum = r->gre_checksum != 0, has_key = r->gre_key != 0, has_number = r->gre_sequence != 0;
    if (room && 4u + 4u * (uint32_t)(has_sum + has_key + has_number) != room) *lacks |= 1u << LACKS_GRE;
    if (has_sum) {
        put16(to + size, r->gre_checksum);
        put16(to + size + 2, 0);
        size += 4;
        flags |= 0x8000;
    }
    if (has_key) {
        put32(to + size, r->gre_key);
        size += 4;
        flags |= 0x2000;
    }
    if (has_number) {
        put32(to + size, r->gre_sequence);
        size += 4;
        flags |= 0x1000;
    }
    put16(to, flags);
    put16(to + 2, r->gre_type);
    return size;
}

INLINE int has_ports(uint8_t protocol) {
    return protocol == TCP || protocol == UDP || protocol == SCTP || protocol == DCCP || protocol == UDPLITE;
}

/* What an IP header carries. left: its bytes in the packet, 0 if not known. */
static uint32_t transport(uint8_t *to, const struct record *r, uint32_t left, uint32_t *lacks) {
    if (has_ports(r->protocol) && !(HAS(r, SOURCE_PORT) && HAS(r, DESTINATION_PORT))) {
        *lacks |= 1u << LACKS_PORTS;
        return 0;
    }
    switch (r->protocol) {
    case TCP: return left && left < 20 ? 0 : tcp_header(to, r, left, lacks);
    case UDP: return left && left < 8 ? 0 : udp_header(to, r, left, lacks);
    case ICMP:
    case ICMP6: return left && left < 8 ? 0 : icmp_header(to, r, left, lacks);
    case GRE: return left && left < 4 ? 0 : gre_header(to, r, lacks);
    case SCTP:
    case DCCP:
    case UDPLITE:
        if (left && left < 4) return 0;
        put16(to, r->source_port);
        put16(to + 2, r->destination_port);
        return 4;
    default: return 0;
    }
}

/* The headers of a packet: gives their bytes. wire: the length of the packet. */
static uint32_t headers_of(uint8_t *to, const struct record *r, uint32_t *wire, uint32_t *lacks) {
    uint32_t ip, offset = r->fragment_offset > 0x1fff ? r->fragment_offset / 8u : r->fragment_offset;
    uint32_t given = HAS(r, TOTAL_LENGTH) ? r->total_length : 0;
    if (!HAS(r, TTL)) *lacks |= 1u << LACKS_TTL;
    if (r->version == 4) {
        uint32_t header = HAS(r, IP_HEADER) ? words(r->ip_header) : 5;
        if (header < 5 || header > 15 || (given && header * 4 > given)) header = 5;
        if (header > 5) *lacks |= 1u << LACKS_IP_OPTIONS;
        ip = header * 4;
        memset(to, 0, ip);
        to[0] = (uint8_t)(0x40 | header);
        to[1] = (uint8_t)(r->dscp << 2 | (r->ecn & 3));
        put16(to + 4, r->identification);
        put16(to + 6, (r->dont_fragment ? 0x4000u : 0) | (r->more_fragments ? 0x2000u : 0) | offset);
        to[8] = r->ttl;
        to[9] = r->protocol;
        memcpy(to + 12, r->source + 12, 4);
        memcpy(to + 16, r->destination + 12, 4);
    } else {
        int fragment = offset || r->more_fragments;
        ip = fragment ? 48 : 40;
        memset(to, 0, ip);
        put32(to, 6u << 28 | (uint32_t)(r->dscp << 2 | (r->ecn & 3)) << 20 | (r->flow_label & 0xfffff));
        to[6] = fragment ? 44 : r->protocol;
        to[7] = r->ttl;
        memcpy(to + 8, r->source, 16);
        memcpy(to + 24, r->destination, 16);
        if (fragment) {
            to[40] = r->protocol;
            put16(to + 42, offset << 3 | (r->more_fragments ? 1 : 0));
            put32(to + 44, r->identification);
        }
    }
    if (given && given < ip) given = 0; /* it contradicts itself */
    if (!given && r->protocol == UDP && HAS(r, UDP_PAYLOAD) && !offset && ip + 8u + r->udp_payload <= 0xffff)
        given = ip + 8u + r->udp_payload;
    if (!given) *lacks |= 1u << LACKS_LENGTH;
    uint32_t left = given ? given - ip : 0;
    uint32_t more = offset || (given && !left) ? 0 : transport(to + ip, r, left, lacks);
    *wire = given ? given : ip + more;
    if (r->version == 4) {
        put16(to + 2, *wire);
        put16(to + 10, folded(sum(to, ip, 0)));
    } else {
        put16(to + 4, *wire - 40);
    }
    return ip + more;
}

struct comment { char *at, *end; };

static void say(struct comment *c, const char *text, size_t length) {
    if ((size_t)(c->end - c->at) < length) length = (size_t)(c->end - c->at);
    memcpy(c->at, text, length);
    c->at += length;
}

INLINE void words_of(struct comment *c, const char *before, uint32_t number, const struct text *entries, const uint8_t *pool,
                     uint64_t known) {
    if (!number || number >= known || !entries[number].length) return;
    say(c, before, strlen(before));
    say(c, (const char *)pool + entries[number].at, entries[number].length);
}

/* Such as `drop by dosd, BLOCKED, rule 9f2c (UDP floods), SYN Flood, at ORD, 1 in 10000, not in the row: TTL`. */
static size_t comment_of(char *to, const struct record *r, uint32_t lacks, const struct text *entries, const uint8_t *pool,
                         uint64_t known) {
    static const char *const outcomes[] = {"outcome not in the row", "pass", "drop", "another outcome"};
    struct comment c = {to, to + LARGEST_COMMENT};
    const char *outcome = outcomes[r->outcome & 3];
    say(&c, outcome, strlen(outcome));
    words_of(&c, " by ", r->system, entries, pool, known);
    words_of(&c, ", ", r->reason, entries, pool, known);
    words_of(&c, ", rule ", r->rule, entries, pool, known);
    words_of(&c, ", rule name ", r->rule_name, entries, pool, known);
    words_of(&c, ", ", r->vector, entries, pool, known);
    words_of(&c, ", attack ", r->attack, entries, pool, known);
    words_of(&c, ", at ", r->colo, entries, pool, known);
    char weight[32];
    int size = r->sample_interval ? snprintf(weight, sizeof weight, ", 1 in %u", r->sample_interval)
                                  : snprintf(weight, sizeof weight, ", weight not in the row");
    say(&c, weight, (size_t)size);
    const char *before = ", not in the row: ";
    for (int i = 0; i < LACK_COUNT; i++)
        if (lacks >> i & 1) {
            say(&c, before, strlen(before));
            say(&c, lack_words[i], strlen(lack_words[i]));
            before = ", ";
        }
    return (size_t)(c.at - to);
}

/* build(records, order, interfaces, begin, entries, pool, known, out, rows, lacking) -> (position, rows, bytes)
 *
 * Makes a pcapng block in `out` and a row of each record that `order` numbers, from its place `begin` on, until one
 * does not fit. interfaces: of each record. entries and pool
 * hold the texts as they shall be shown. lacking: counts of packets by what their row lacks. */
static PyObject *build(PyObject *self, PyObject *args) {
    Py_buffer records, order, interfaces, entries, pool, out, rows, lacking;
    Py_ssize_t begin;
    unsigned long long known;
    PyObject *result = NULL;
    if (!PyArg_ParseTuple(args, "y*y*y*ny*y*Kw*w*w*", &records, &order, &interfaces, &begin, &entries, &pool, &known, &out, &rows,
                          &lacking))
        return NULL;
    Py_ssize_t known_records = records.len / (Py_ssize_t)sizeof(struct record), count = order.len / 4;
    Py_ssize_t made = 0, filled = 0;
    const uint32_t *numbers = order.buf;
    Py_ssize_t room = rows.len / (Py_ssize_t)sizeof(struct row);
    const struct text *texts = entries.buf;
    int fits = begin >= 0 && begin <= count && interfaces.len == known_records * 4 && !((uintptr_t)order.buf % 4) && lacking.len == LACK_COUNT * 8 &&
               known <= (uint64_t)entries.len / sizeof(struct text) && aligned(&records) && aligned(&rows) &&
               aligned(&lacking) && aligned(&entries) && !((uintptr_t)interfaces.buf % 4) && out.len <= UINT32_MAX;
    for (uint64_t i = 0; fits && i < known; i++) fits = (uint64_t)texts[i].at + texts[i].length <= (uint64_t)pool.len;
    for (Py_ssize_t i = 0; fits && i < count; i++) fits = numbers[i] < known_records;
    if (!fits) {
        PyErr_SetString(PyExc_ValueError, "the tables do not fit each other");
    } else {
        struct row *row = rows.buf;
        uint64_t *lack = lacking.buf;
        Py_BEGIN_ALLOW_THREADS
        for (; begin < count && made < room; begin++, row++, made++) {
            const struct record *r = (const struct record *)records.buf + numbers[begin];
            if (out.len - filled < 28 + LARGEST_HEADERS + LARGEST_COMMENT + 32) break;
            uint8_t *to = (uint8_t *)out.buf + filled, *packet = to + 28;
            uint32_t wire, lacks = 0, size = headers_of(packet, r, &wire, &lacks), padded = (size + 3) & ~3u;
            memset(packet + size, 0, padded - size);
            uint8_t *option = packet + padded;
            size_t length = comment_of((char *)option + 4, r, lacks, texts, pool.buf, known), pad = -length & 3;
            uint16_t head[2] = {1, (uint16_t)length};
            memcpy(option, head, 4);
            memset(option + 4 + length, 0, pad + 4);
            uint32_t block = (uint32_t)(28 + padded + 4 + length + pad + 4 + 4);
            uint64_t time = r->time < 0 ? 0 : (uint64_t)r->time;
            uint32_t begins[7] = {6, block, ((const uint32_t *)interfaces.buf)[numbers[begin]], (uint32_t)(time >> 32), (uint32_t)time,
                                  size, wire < size ? size : wire};
            memcpy(to, begins, 28);
            memcpy(to + block - 4, &block, 4);
            *row = (struct row){r->time, (uint32_t)(filled + 28), size, begins[6], begins[2]};
            for (int i = 0; i < LACK_COUNT; i++) lack[i] += lacks >> i & 1;
            filled += block;
        }
        Py_END_ALLOW_THREADS
        result = Py_BuildValue("(nnn)", begin, made, filled);
    }
    PyBuffer_Release(&lacking);
    PyBuffer_Release(&rows);
    PyBuffer_Release(&out);
    PyBuffer_Release(&pool);
    PyBuffer_Release(&entries);
    PyBuffer_Release(&interfaces);
    PyBuffer_Release(&order);
    PyBuffer_Release(&records);
    return result;
}

static PyMethodDef methods[] = {
    {"read", read_rows, METH_VARARGS, "Read rows from whole lines, until none is left or the records are full."},
    {"build", build, METH_VARARGS, "Make pcapng blocks of records, until all are or one does not fit."},
    {NULL, NULL, 0, NULL},
};

static int execute(PyObject *module) {
    fill_slots();
    PyObject *names = PyList_New(0), *lacks = PyList_New(0);
    int failed = !names || !lacks;
    for (int i = 0; !failed && i < F_COUNT; i++) {
        PyObject *name = PyUnicode_FromString(fields[i].name);
        failed = !name || PyList_Append(names, name);
        Py_XDECREF(name);
    }
    for (int i = 0; !failed && i < LACK_COUNT; i++) {
        PyObject *name = PyUnicode_FromString(lack_words[i]);
        failed = !name || PyList_Append(lacks, name);
        Py_XDECREF(name);
    }
    failed = failed || PyModule_AddObjectRef(module, "FIELDS", names) || PyModule_AddObjectRef(module, "LACKS", lacks) ||
             PyModule_AddIntConstant(module, "RECORD_SIZE", sizeof(struct record)) ||
             PyModule_AddIntConstant(module, "TEXT_SIZE", sizeof(struct text)) ||
             PyModule_AddIntConstant(module, "PASS", PASS) || PyModule_AddIntConstant(module, "DROP", DROP) ||
             PyModule_AddIntConstant(module, "LARGEST", 28 + LARGEST_HEADERS + LARGEST_COMMENT + 32);
    Py_XDECREF(names);
    Py_XDECREF(lacks);
    return failed ? -1 : 0;
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, execute}, {0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "edgecap.packets.native.rows", "Rows of Logpush's network_analytics_logs.", 0, methods, slots,
    NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit_rows(void) { return PyModuleDef_Init(&definition); }
