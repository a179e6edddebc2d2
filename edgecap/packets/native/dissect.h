/* Parse headers: link, VLAN tags, IP, tunnels, transport. Nothing outside the packet is read. */
#ifndef EDGECAP_DISSECT_H
#define EDGECAP_DISSECT_H
#include "packets.h"

enum { DEEPEST = 16 }; /* headers within headers that are followed */

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

/* The tunnel that a UDP port usually is, 0 for none. */
INLINE int tunnel_at(uint16_t port) {
    switch (port) {
    case 4789:
    case 4790: /* with the generic protocol extension */
    case 8472: return VXLAN; /* Linux's first number for it */
    case 6081: return GENEVE;
    case 2152: return GTP_U;
    case 1701: return L2TP;
    case 6635: return MPLS;
    case 4754: return GRE_IN_UDP;
    case 3544: return TEREDO;
    default: return 0;
    }
}

INLINE int udp_tunnel(uint16_t source, uint16_t destination) {
    int found = tunnel_at(destination);
    return found ? found : tunnel_at(source);
}

/* Note how long the payload at `at` is, which may be behind the captured bytes, and where it begins. */
INLINE void payload_of(struct headers *h, struct layer *l, const uint8_t *frame, const uint8_t *header,
                       const uint8_t *at, const uint8_t *end) {
    Py_ssize_t ahead = at - header;
    /* Segmentation offload writes 0 for a length that IPv4 cannot state. */
    Py_ssize_t whole = l->length ? l->length : end - header;
    l->payload = (uint16_t)(whole > ahead ? whole - ahead : 0);
    if (l->payload && at < end) h->body = (uint32_t)(at - frame);
}

/* One IP header and what it carries, up to the ports. Gives where the payload begins, NULL if there is none. */
static const uint8_t *ip_layer(struct headers *h, struct layer *l, const uint8_t *frame, const uint8_t *at,
                               const uint8_t *end) {
    const uint8_t *header = at;
    h->body = 0; /* a tunnel's own payload is not the innermost */
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
    case UDP:
        if (left < 4) {
            h->cut = 1;
            return NULL;
        }
        l->ports = 1;
        l->source_port = net16(at);
        l->destination_port = net16(at + 2);
        payload_of(h, l, frame, header, at + 8, end);
        return left >= 8 && udp_tunnel(l->source_port, l->destination_port) ? at : NULL;
    case TCP:
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
            payload_of(h, l, frame, header, at + l->tcp_words * 4, end);
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

/* What a cursor points at. */
enum next { NOTHING, IP, ETHERNET, TYPED, LLC, PPP, LABELS, UNKNOWN };

struct cursor {
    const uint8_t *at, *end;
    enum next next;
    uint16_t type; /* of TYPED: the EtherType of what begins here */
};

INLINE struct cursor nothing(void) { return (struct cursor){NULL, NULL, NOTHING, 0}; }

/* What begins `size` bytes further on; nothing if the captured bytes end before. */
static struct cursor skip(struct headers *h, struct cursor c, Py_ssize_t size, enum next next, uint16_t type) {
    if (c.end - c.at < size) {
        h->cut = 1;
        return nothing();
    }
    return (struct cursor){c.at + size, c.end, next, type};
}

/* What GRE carries: RFC 2784 and 2890, PPTP's version 1 (RFC 2637), and ERSPAN of types I to III. */
static struct cursor gre(struct headers *h, struct cursor c) {
    if (c.end - c.at < 4) {
        h->cut = 1;
        return nothing();
    }
    uint16_t flags = net16(c.at), type = net16(c.at + 2);
    if ((flags & 7) == 1 && type == 0x880b)
        return flags & 0x1000 ? skip(h, c, 12 + (flags & 0x80 ? 4 : 0), PPP, 0) : nothing();
    if (flags & 7) return nothing();
    Py_ssize_t size = 4 + (flags & 0xc000 ? 4 : 0) + (flags & 0x2000 ? 4 : 0) + (flags & 0x1000 ? 4 : 0);
    switch (type) {
    case 0x6558: return skip(h, c, size, ETHERNET, 0);
    case 0x88be: return skip(h, c, size + (flags & 0x1000 ? 8 : 0), ETHERNET, 0); /* type I has no header */
    case 0x22eb: /* type III, with a platform's subheader if the last bit says so */
        if (c.end - c.at < size + 12) {
            h->cut = 1;
            return nothing();
        }
        return skip(h, c, size + 12 + (c.at[size + 11] & 1 ? 8 : 0), ETHERNET, 0);
    case 0x880b: return skip(h, c, size, PPP, 0);
    case 0x883e: /* WCCP, whose version 2 has a header of four bytes that never looks like IPv4's first byte */
        if (c.end - c.at > size && c.at[size] >> 4 == 4) return skip(h, c, size, IP, 0);
        return skip(h, c, size + 4, IP, 0);
    default: return skip(h, c, size, TYPED, type);
    }
}

/* Whether an IP header begins here, whole and not contradicting itself. */
static int is_ip(struct cursor c) {
    Py_ssize_t left = c.end - c.at;
    if (left < 20) return 0;
    if (c.at[0] >> 4 == 4) {
        uint16_t length = net16(c.at + 2);
        return (c.at[0] & 15) >= 5 && (!length || length >= (c.at[0] & 15) * 4);
    }
    return c.at[0] >> 4 == 6 && left >= 40;
}

/* Whether this is what a tunnel over UDP carries, and not any payload of a packet to its port. */
static int is_carried(struct cursor c) {
    uint16_t type = c.type;
    if (c.next == ETHERNET) {
        if (c.end - c.at < 14) return 0;
        type = net16(c.at + 12);
        if (is_tag(type) || type == 0x0806 || type == 0x8847) return 1;
        c.at += 14;
        c.next = TYPED;
    }
    if (c.next == TYPED) {
        if (type != 0x0800 && type != 0x86dd) return 0;
        c.next = IP;
    }
    if (c.next == IP) return is_ip(c);
    return c.next == PPP || c.next == LABELS;
}

/* What Teredo carries: an IPv6 packet, behind its own headers (RFC 4380). */
static struct cursor teredo(struct cursor c) {
    if (c.end - c.at >= 4 && c.at[0] == 0 && c.at[1] == 1) { /* authentication */
        Py_ssize_t size = 13 + c.at[2] + c.at[3];
        if (c.end - c.at < size) return nothing();
        c.at += size;
    }
    if (c.end - c.at >= 8 && c.at[0] == 0 && c.at[1] == 0) c.at += 8; /* origin */
    return c.end > c.at && c.at[0] >> 4 == 6 ? (struct cursor){c.at, c.end, IP, 0} : nothing();
}

/* What a G-PDU of GTP version 1 carries (3GPP TS 29.281). */
static struct cursor gtp_u(struct cursor c) {
    if (c.end - c.at < 8 || c.at[0] >> 4 != 3 || c.at[1] != 255) return nothing();
    int more = c.at[0] & 7, extended = c.at[0] & 4;
    c.at += 8;
    if (more) {
        if (c.end - c.at < 4) return nothing();
        uint8_t kind = extended ? c.at[3] : 0;
        c.at += 4;
        while (kind) {
            if (c.end - c.at < 4 || !c.at[0] || c.end - c.at < c.at[0] * 4) return nothing();
            Py_ssize_t size = c.at[0] * 4;
            kind = c.at[size - 1];
            c.at += size;
        }
    }
    return (struct cursor){c.at, c.end, IP, 0};
}

/* What a data message of L2TP version 2 carries (RFC 2661). */
static struct cursor l2tp(struct cursor c) {
    if (c.end - c.at < 6) return nothing();
    uint16_t flags = net16(c.at);
    if (flags & 0x8000 || (flags & 15) != 2) return nothing(); /* control, or another version */
    Py_ssize_t size = 6 + (flags & 0x4000 ? 2 : 0) + (flags & 0x0800 ? 4 : 0);
    if (flags & 0x0200) { /* an offset */
        if (c.end - c.at < size + 2) return nothing();
        size += 2 + net16(c.at + size);
    }
    if (c.end - c.at < size) return nothing();
    return (struct cursor){c.at + size, c.end, PPP, 0};
}

/* What a tunnel over UDP carries; nothing if it is another payload. */
static struct cursor over_udp(struct headers *h, const struct layer *l, struct cursor c) {
    struct cursor found = nothing();
    uint8_t kind = 0;
    Py_ssize_t size;
    c.at += 8;
    Py_ssize_t left = c.end - c.at;
    switch (udp_tunnel(l->source_port, l->destination_port)) {
    case VXLAN:
        kind = VXLAN;
        if (left < 8 || !(c.at[0] & 8) || c.at[7]) break;
        found = (struct cursor){c.at + 8, c.end, ETHERNET, 0};
        if (l->destination_port == 4790 && c.at[3]) { /* the generic protocol extension */
            uint8_t protocol = c.at[3];
            found.next = protocol == 1 || protocol == 2 ? IP : protocol == 3 ? ETHERNET : NOTHING;
        }
        break;
    case GENEVE: /* RFC 8926 */
        kind = GENEVE;
        if (left < 8 || c.at[0] >> 6) break;
        size = 8 + (c.at[0] & 63) * 4;
        if (left < size) break;
        found = (struct cursor){c.at + size, c.end, TYPED, net16(c.at + 2)};
        if (found.type == 0x6558) found.next = ETHERNET;
        break;
    case GTP_U:
        kind = GTP_U;
        found = gtp_u(c);
        break;
    case TEREDO:
        kind = TEREDO;
        found = teredo(c);
        break;
    case L2TP:
        kind = L2TP;
        found = l2tp(c);
        break;
    case MPLS:
        kind = MPLS;
        found = (struct cursor){c.at, c.end, left >= 4 ? LABELS : NOTHING, 0};
        break;
    case GRE_IN_UDP: { /* RFC 8086 */
        struct headers aside = *h;
        kind = GRE_IN_UDP;
        found = gre(&aside, c);
        break;
    }
    }
    if (!found.next || !is_carried(found)) return nothing();
    if (!h->tunnel) h->tunnel = kind;
    return found;
}

/* What an IP header carries that is another packet; nothing if it is none. */
static struct cursor within_ip(struct headers *h, const struct layer *l, struct cursor c) {
    uint8_t kind = l->protocol;
    struct cursor found;
    switch (kind) {
    case UDP: return over_udp(h, l, c);
    case GRE: found = gre(h, c); break;
    case IPIP:
    case IP6: found = (struct cursor){c.at, c.end, IP, 0}; break;
    case ETHERIP: found = skip(h, c, 2, ETHERNET, 0); break; /* RFC 3378 */
    case MPLS_IN_IP: found = (struct cursor){c.at, c.end, LABELS, 0}; break; /* RFC 4023 */
    default: return nothing();
    }
    if (!h->tunnel) h->tunnel = kind;
    return found;
}

/* What PPP carries; its address, control and half of its protocol may be left out (RFC 1661). */
static struct cursor ppp(struct headers *h, struct cursor c, int outermost) {
    if (c.end - c.at >= 2 && c.at[0] == 0xff && c.at[1] == 3) c.at += 2;
    if (outermost) h->ether_type = 0x880b;
    if (c.end - c.at < 1 || (!(c.at[0] & 1) && c.end - c.at < 2)) {
        h->cut = 1;
        return nothing();
    }
    uint16_t protocol = c.at[0] & 1 ? c.at[0] : net16(c.at);
    c.at += c.at[0] & 1 ? 1 : 2;
    switch (protocol) {
    case 0x21:
    case 0x57: c.next = IP; return c;
    case 0x281: c.next = LABELS; return c;
    default: return nothing();
    }
}

/* What a stack of MPLS labels carries: nothing in it says what that is, except its first byte (RFC 4928). */
static struct cursor labels(struct headers *h, struct cursor c) {
    for (;;) {
        if (c.end - c.at < 4) {
            h->cut = 1;
            return nothing();
        }
        int bottom = c.at[2] & 1;
        c.at += 4;
        if (bottom) break;
    }
    if (c.end <= c.at) {
        h->cut = 1;
        return nothing();
    }
    c.next = IP;
    if (c.at[0] >> 4 == 4 || c.at[0] >> 4 == 6) return c;
    if (c.at[0] >> 4 == 0) { /* a pseudowire's control word (RFC 4385), and then most often Ethernet */
        struct cursor wire = {c.at + 4, c.end, ETHERNET, 0};
        if (c.end - c.at >= 4 + 14 && is_carried(wire)) return wire;
    }
    return nothing();
}

/* What an Ethernet frame with this type carries, behind all VLAN tags. */
static struct cursor typed(struct headers *h, struct cursor c, int outermost) {
    uint16_t type = tags(h, &c.at, c.end, c.type, outermost);
    if (outermost) h->ether_type = type;
    if (type == 0x0800 || type == 0x86dd) {
        c.next = IP;
        return c;
    }
    switch (type) {
    case 0x8847:
    case 0x8848:
        if (!h->tunnel) h->tunnel = MPLS;
        c.next = LABELS;
        return c;
    case 0x8864:
        if (!h->tunnel) h->tunnel = PPPOE;
        return skip(h, c, 6, PPP, 0);
    case 0x880b: c.next = PPP; return c;
    case 0x8909: return skip(h, c, 8, TYPED, c.end - c.at < 8 ? 0 : net16(c.at + 6)); /* Cisco MetaData */
    case 0x88e7: /* IEEE 802.1ah */
        if (!h->tunnel) h->tunnel = PROVIDER_BRIDGE;
        return skip(h, c, 4, ETHERNET, 0);
    case 0x894f: /* RFC 8300; its length is in words */
        if (!h->tunnel) h->tunnel = NSH;
        if (c.end - c.at < 8) {
            h->cut = 1;
            return nothing();
        }
        switch (c.at[3]) {
        case 1:
        case 2: return skip(h, c, (c.at[1] & 63) * 4, IP, 0);
        case 3: return skip(h, c, (c.at[1] & 63) * 4, ETHERNET, 0);
        default: return nothing();
        }
    }
    if (type && type <= 1500) { /* a length: IEEE 802.3 */
        if (outermost) h->ether_type = 4;
        c.next = LLC;
        return c;
    }
    return nothing();
}

/* What IEEE 802.2 carries: behind SNAP another EtherType (RFC 1042), else rarely IP. */
static struct cursor llc(struct headers *h, struct cursor c) {
    Py_ssize_t left = c.end - c.at;
    if (left < 3 || (left < 8 && c.at[0] == 0xaa)) {
        h->cut = 1;
        return nothing();
    }
    if (c.at[0] == 0xaa && c.at[1] == 0xaa && c.at[2] == 3 && !c.at[3] && !c.at[4])
        return skip(h, c, 8, TYPED, net16(c.at + 6));
    return c.at[0] == 6 && c.at[1] == 6 && c.at[2] == 3 ? skip(h, c, 3, IP, 0) : nothing();
}

/* Where NFLOG's attribute with the packet begins. */
static struct cursor nflog(struct headers *h, struct cursor c) {
    c = skip(h, c, 4, IP, 0);
    while (c.next && c.end - c.at >= 4) {
        uint16_t length, kind; /* in the byte order of the machine that recorded them, nearly always this */
        memcpy(&length, c.at, 2);
        memcpy(&kind, c.at + 2, 2);
        if ((kind & 0x7fff) == 9) {
            c = skip(h, c, 4, IP, 0);
            return c;
        }
        Py_ssize_t padded = (length + 3) & ~3;
        if (length < 4 || c.end - c.at < padded) break;
        c.at += padded;
    }
    h->cut = 1;
    return nothing();
}

/* What a packet of this link type begins with. Numbers: https://www.tcpdump.org/linktypes.html */
static struct cursor linked(struct headers *h, struct cursor c, uint32_t link) {
    Py_ssize_t left = c.end - c.at;
    switch (link) {
    case 1: return skip(h, c, 14, TYPED, left < 14 ? 0 : net16(c.at + 12)); /* Ethernet */
    case 113: return skip(h, c, 16, TYPED, left < 16 ? 0 : net16(c.at + 14)); /* Linux cooked */
    case 276: return skip(h, c, 20, TYPED, left < 20 ? 0 : net16(c.at)); /* Linux cooked, version 2 */
    case 0:
    case 108: return skip(h, c, 4, IP, 0); /* BSD loopback */
    case 12:
    case 14:
    case 101:
    case 228:
    case 229: c.next = IP; return c; /* raw IP */
    case 205: /* the latter behind a byte with the direction */
        if (left < 5) break;
        return skip(h, c, 5, TYPED, net16(c.at + 3));
    case 219: c.next = LABELS; return c; /* MPLS */
    case 9: /* PPP, */
    case 50: /* in HDLC-like framing, */
    case 104: /* or Cisco's HDLC, for which the other two are also used */
        if (link == 104 ? left < 1 || c.at[0] != 0xff : left >= 1 && (c.at[0] & 0x7f) == 0x0f)
            return skip(h, c, 4, TYPED, left < 4 ? 0 : net16(c.at + 2));
        c.next = PPP;
        return c;
    case 51: /* PPPoE without Ethernet */
        h->tunnel = PPPOE;
        h->ether_type = 0x8864;
        return skip(h, c, 6, PPP, 0);
    case 204: return skip(h, c, 1, PPP, 0); /* PPP behind a byte with the direction */
    case 10: return skip(h, c, 13, LLC, 0); /* FDDI */
    case 100: c.next = LLC; return c; /* ATM, RFC 2684 */
    case 107: { /* Frame Relay, with RFC 2427 or Cisco's types behind an address of two to four bytes */
        Py_ssize_t size = 1;
        while (size < 4 && size < left && !(c.at[size - 1] & 1)) size++;
        const uint8_t *next = c.at + size;
        if (left < size + 2 || (next[0] == 3 && !next[1] && left < size + 8)) break;
        if (next[0] != 3) return skip(h, c, size + 2, TYPED, net16(next));
        if (next[1] == 0xcc || next[1] == 0x8e) return skip(h, c, size + 2, IP, 0);
        return !next[1] && next[2] == 0x80 ? skip(h, c, size + 8, TYPED, net16(next + 6)) : nothing();
    }
    case 109: return skip(h, c, 12, IP, 0); /* OpenBSD's enc */
    case 117: /* OpenBSD's pflog: its length comes first */
        if (left < 1) break;
        return skip(h, c, (c.at[0] + 3) & ~3, IP, 0);
    case 239: return nflog(h, c);
    default:
        h->unknown = 1;
        return nothing();
    }
    h->cut = 1;
    return nothing();
}

static void dissect_one(struct headers *h, const uint8_t *at, const uint8_t *end, uint32_t link) {
    memset(h, 0, sizeof *h);
    struct cursor c = linked(h, (struct cursor){at, end, NOTHING, 0}, link);
    struct layer *layer = &h->outer;
    int layers = 0;
    for (int depth = 0; c.next && depth < DEEPEST; depth++) {
        switch (c.next) {
        case IP: {
            const uint8_t *begin = c.at;
            if (layers) layer = &h->inner;
            if (layers++ > 1) memset(layer, 0, sizeof *layer);
            c.at = ip_layer(h, layer, at, c.at, c.end);
            if (layer->version) h->inside = (uint32_t)(begin - at);
            if (!c.at) return;
            c = within_ip(h, layer, c);
            break;
        }
        case ETHERNET: c = skip(h, c, 14, TYPED, c.end - c.at < 14 ? 0 : net16(c.at + 12)); break;
        case TYPED: c = typed(h, c, !layers && !h->tunnel); break;
        case LLC: c = llc(h, c); break;
        case PPP: c = ppp(h, c, !layers && !h->tunnel); break;
        case LABELS: c = labels(h, c); break;
        default: return;
        }
    }
}

#endif
