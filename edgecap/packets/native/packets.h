/* Shared by the extensions: the layouts of rows, headers and flows, and reading numbers.
 *
 * columns.py and flow_table.py repeat the layouts, and check their sizes on import.
 */
#ifndef EDGECAP_PACKETS_H
#define EDGECAP_PACKETS_H
#define Py_LIMITED_API 0x030b0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

struct row {
    int64_t time; /* nanoseconds since 1970; NO_TIME: it has none */
    uint32_t start; /* of the packet's bytes in the buffer */
    uint32_t captured;
    uint32_t wire;
    uint32_t interface;
};

#define NO_TIME INT64_MIN

struct layer {
    uint8_t source[16], destination[16]; /* IPv4 as ::ffff:a.b.c.d */
    uint16_t source_port, destination_port;
    uint16_t length; /* of header and payload, as the IP header says */
    uint8_t version, protocol, ttl, tos;
    uint8_t fragment; /* 0 whole, 1 first, 2 later */
    uint8_t ports; /* 1 if the ports were there to be read */
    uint8_t tcp_flags, icmp_type, icmp_code;
    uint8_t options; /* 1 if there were IPv4 options or IPv6 extension headers */
    uint16_t payload; /* bytes behind the header of TCP or UDP, as the IP header says */
    uint8_t tcp_words; /* length of the TCP header in words of four bytes; 5 without options */
    uint8_t unused;
};

struct headers {
    struct layer outer, inner;
    uint32_t spi; /* of ESP */
    uint32_t body; /* where the payload of the innermost TCP or UDP begins in the frame; 0: none was captured */
    uint32_t inside; /* where the innermost IP header begins; 0 too if there is none */
    uint16_t ether_type, vlan, inner_vlan; /* VLAN: 0x1000 set if there is a tag, since 0 is a valid number */
    uint8_t tunnel; /* kind of the outermost tunnel: an IP protocol, or from VXLAN on; 0 for none */
    uint8_t cut; /* 1 if a header ends outside what was captured */
    uint32_t unknown; /* 1 if the link type is not one that is parsed */
};

struct flow {
    uint8_t source[16], destination[16];
    uint16_t source_port, destination_port; /* of ICMP: type and code */
    uint8_t protocol, version, tunnel;
    uint8_t ports; /* 1 if there are ports, or ICMP's type, and they were there to be read */
    uint64_t packets, bytes; /* that its samples stand for, where an interface tells how many */
    uint64_t samples; /* packets that were kept; as many as `packets` without such an interface */
    int64_t first, last;
    uint32_t fragments;
    uint8_t tcp_flags, ttl_low, ttl_high;
    uint8_t signs; /* of any packet: PAYLOAD, BARE_SYN, NO_OPTIONS */
};

/* Bytes behind the transport header; a SYN without TCP options; an ACK without them, which is neither SYN nor RST. */
enum { PAYLOAD = 1, BARE_SYN = 2, NO_OPTIONS = 4 };

/* IP protocols that are parsed. */
enum { ICMP = 1, IPIP = 4, TCP = 6, UDP = 17, DCCP = 33, IP6 = 41, GRE = 47, ESP = 50, AH = 51, ICMP6 = 58,
       SCTP = 132, UDPLITE = 136, ETHERIP = 97, MPLS_IN_IP = 137 };

/* Tunnels that no IP protocol stands for, with numbers that IANA has not assigned. columns.py names them. */
enum { VXLAN = 240, GENEVE, GTP_U, TEREDO, MPLS, PPPOE, L2TP, GRE_IN_UDP, PROVIDER_BRIDGE, NSH };

/* Whether a buffer's numbers can be read in place. */
INLINE int aligned(const Py_buffer *buffer) { return (uintptr_t)buffer->buf % 8 == 0; }

INLINE uint32_t u32(const uint8_t *at, int swapped) {
    uint32_t value;
    memcpy(&value, at, 4);
    return swapped ? __builtin_bswap32(value) : value;
}

INLINE uint16_t u16(const uint8_t *at, int swapped) {
    uint16_t value;
    memcpy(&value, at, 2);
    return swapped ? __builtin_bswap16(value) : value;
}

INLINE uint16_t net16(const uint8_t *at) { return (uint16_t)(at[0] << 8 | at[1]); }

INLINE uint32_t net32(const uint8_t *at) {
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

#endif
