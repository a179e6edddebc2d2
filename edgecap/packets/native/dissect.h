/* Parse headers: link, VLAN tags, IP, tunnels, transport. Nothing outside the packet is read. */
#ifndef EDGECAP_DISSECT_H
#define EDGECAP_DISSECT_H
#include "packets.h"

enum { DEEPEST = 8 }; /* tunnels within tunnels that are followed */

INLINE void mapped(uint8_t *to, const uint8_t *from) {
    to[10] = to[11] = 0xff;
    memcpy(to + 12, from, 4);
}

static int is_tag(uint16_t type) { return type == 0x8100 || type == 0x88a8 || type == 0x9100; }

/* The Ethernet type behind all VLAN tags; `at` moves behind it. */
static uint16_t tags(struct headers *h, const uint8_t **at, const uint8_t *end, uint16_t type, int outermost) {
    int depth = 0;
    while (is_tag(type)) {
        if (end - *at < 4) {
            h->cut = 1;
            return 0;
        }
        uint16_t number = (uint16_t)(0x1000 | (net16(*at) & 0xfff));
        if (outermost && depth == 0) h->vlan = number;
        if (outermost && depth == 1) h->inner_vlan = number;
        depth++;
        type = net16(*at + 2);
        *at += 4;
    }
    return type;
}

/* One IP header and what it carries, up to the ports. Gives where the payload begins, NULL if there is none. */
static const uint8_t *ip_layer(struct headers *h, struct layer *l, const uint8_t *frame, const uint8_t *at,
                               const uint8_t *end) {
    const uint8_t *header = at;
    if (end - at < 1) {
        h->cut = 1;
        return NULL;
    }
    int version = at[0] >> 4;
    if (version == 4) {
        if (end - at < 20) {
            h->cut = 1;
            return NULL;
        }
        int size = (at[0] & 15) * 4;
        if (size < 20) return NULL;
        l->version = 4;
        l->tos = at[1];
        l->length = net16(at + 2);
        l->ttl = at[8];
        l->protocol = at[9];
        l->options = size > 20;
        mapped(l->source, at + 12);
        mapped(l->destination, at + 16);
        uint16_t fragment = net16(at + 6);
        l->fragment = fragment & 0x1fff ? 2 : fragment & 0x2000 ? 1 : 0;
        if (end - at < size) {
            h->cut = 1;
            return NULL;
        }
        at += size;
    } else if (version == 6) {
        if (end - at < 40) {
            h->cut = 1;
            return NULL;
        }
        l->version = 6;
        l->tos = (uint8_t)(net16(at) >> 4);
        uint32_t length = 40u + net16(at + 4);
        l->length = (uint16_t)(length > 0xffff ? 0xffff : length);
        l->protocol = at[6];
        l->ttl = at[7];
        memcpy(l->source, at + 8, 16);
        memcpy(l->destination, at + 24, 16);
        at += 40;
        for (;;) {
            uint8_t next = l->protocol;
            int fragment = next == 44, auth = next == AH;
            if (!fragment && !auth && next != 0 && next != 43 && next != 60 && next != 135 && next != 139 && next != 140)
                break;
            l->options = 1;
            if (end - at < 8) {
                h->cut = 1;
                return NULL;
            }
            Py_ssize_t size = fragment ? 8 : auth ? (at[1] + 2) * 4 : (at[1] + 1) * 8;
            l->protocol = at[0];
            if (fragment) {
                uint16_t where = net16(at + 2);
                l->fragment = where & 0xfff8 ? 2 : where & 1 ? 1 : 0;
                if (l->fragment == 2) return NULL;
            }
            if (end - at < size) {
                h->cut = 1;
                return NULL;
            }
            at += size;
        }
    } else {
        return NULL;
    }
    if (l->fragment == 2) return NULL;
    Py_ssize_t left = end - at;
    switch (l->protocol) {
    case TCP:
    case UDP:
    case SCTP:
    case DCCP:
    case UDPLITE:
        if (left >= 4) {
            l->ports = 1;
            l->source_port = net16(at);
            l->destination_port = net16(at + 2);
        } else
            h->cut = 1;
        if (l->protocol == TCP) {
            if (left >= 14) {
                l->tcp_flags = at[13];
                l->tcp_words = at[12] >> 4;
            } else
                h->cut = 1;
        }
        if (l->protocol == TCP || l->protocol == UDP) {
            Py_ssize_t ahead = at - header + (l->protocol == UDP ? 8 : l->tcp_words * 4);
            /* Segmentation offload writes 0 for a length that IPv4 cannot state. */
            Py_ssize_t whole = l->length ? l->length : end - header;
            l->payload = (uint16_t)(whole > ahead ? whole - ahead : 0);
            if (l->payload && header + ahead < end) h->body = (uint32_t)(header + ahead - frame);
        }
        return NULL;
    case ICMP:
    case ICMP6:
        if (left >= 2) {
            l->icmp_type = at[0];
            l->icmp_code = at[1];
        } else
            h->cut = 1;
        return NULL;
    case ESP:
        if (left < 4)
            h->cut = 1;
        else if (!h->spi)
            h->spi = net32(at);
        return NULL;
    default:
        return at;
    }
}

/* Where the IP header in GRE begins, NULL if it carries something else. */
static const uint8_t *gre(struct headers *h, const uint8_t *at, const uint8_t *end) {
    if (end - at < 4) {
        h->cut = 1;
        return NULL;
    }
    uint16_t flags = net16(at), type = net16(at + 2);
    if (flags & 7) return NULL; /* version 1 is PPTP's */
    Py_ssize_t size = 4 + (flags & 0xc000 ? 4 : 0) + (flags & 0x2000 ? 4 : 0) + (flags & 0x1000 ? 4 : 0);
    if (end - at < size) {
        h->cut = 1;
        return NULL;
    }
    at += size;
    if (type == 0x6558) { /* Ethernet within GRE */
        if (end - at < 14) {
            h->cut = 1;
            return NULL;
        }
        type = net16(at + 12);
        at += 14;
        type = tags(h, &at, end, type, 0);
    }
    return type == 0x0800 || type == 0x86dd ? at : NULL;
}

static void dissect_one(struct headers *h, const uint8_t *at, const uint8_t *end, uint32_t link) {
    Py_ssize_t size, type_at;
    const uint8_t *frame = at;
    memset(h, 0, sizeof *h);
    switch (link) {
    case 1: size = 14, type_at = 12; break; /* Ethernet */
    case 113: size = 16, type_at = 14; break; /* Linux cooked */
    case 276: size = 20, type_at = 0; break; /* Linux cooked, version 2 */
    case 0:
    case 108: size = 4, type_at = -1; break; /* BSD loopback */
    case 12:
    case 14:
    case 101:
    case 228:
    case 229: size = 0, type_at = -1; break; /* raw IP */
    default: return;
    }
    if (end - at < size) {
        h->cut = 1;
        return;
    }
    if (type_at >= 0) {
        uint16_t type = net16(at + type_at);
        at += size;
        type = tags(h, &at, end, type, 1);
        h->ether_type = type;
        if (type != 0x0800 && type != 0x86dd) return;
    } else
        at += size;
    struct layer *layer = &h->outer;
    for (int depth = 0; depth < DEEPEST; depth++) {
        if (depth > 1) memset(layer, 0, sizeof *layer);
        at = ip_layer(h, layer, frame, at, end);
        if (!at) return;
        uint8_t protocol = layer->protocol;
        if (protocol == GRE) {
            const uint8_t *inside = gre(h, at, end);
            if (!h->tunnel) h->tunnel = GRE;
            if (!(at = inside)) return;
        } else if (protocol == IPIP || protocol == IP6) {
            if (!h->tunnel) h->tunnel = protocol;
        } else
            return;
        layer = &h->inner;
    }
}

#endif
