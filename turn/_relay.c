/* The compiled data plane of the TURN server: datagrams between clients and peers, in batches.
 *
 *     listener --recvmmsg--> ChannelData of a live channel? --+--> relay socket --> peer
 *                                   |                         +--> other client's flow (inside)
 *                                   no --> Python             (never sees the kernel)
 *     relay ----recvmmsg--> from a peer with a channel? -----> header in front --> listener
 *                                   no --> Python
 *
 * Python decides and tells what it decided: a flow (a client, its relay socket, its relayed
 * address) and its channels with their ends.  What matches is passed on here; whatever does not,
 * for whichever reason, is given to Python as it came, and judged there as without this module.
 * So this file holds no policy, and the two ways cannot disagree about who may do what.
 *
 * IPv4 and UDP: what has an IPv6 client or an IPv6 peer is left to Python by not telling of it.
 * Linux (recvmmsg, sendmmsg, epoll, UDP_SEGMENT).  Everything runs under the
 * interpreter's lock and calls nothing of Python's in between, so no flow vanishes in a batch.
 */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* recvmmsg */
#endif
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef SOL_UDP
#define SOL_UDP 17
#endif
#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

/* Counts the changes of what Python calls here, or relies on: io_plane.py wants this very one, so
 * that what an earlier version of Ringline left behind is noticed. */
enum { INTERFACE = 3 };

enum {
    BATCH = 64,            /* datagrams of one read, and the most that one send may have (the
                            * kernel's UDP_MAX_SEGMENTS) */
    READS = 4,             /* of a socket that has more, in one turn: it must not starve the others */
    EVENTS = 64,           /* sockets of one turn */
    HEADROOM = 4,          /* for the header of ChannelData */
    DATAGRAM = 65536,      /* the largest there is */
    /* Of one buffer, HEADROOM included: an odd number of cache lines more, or the beginnings of all
     * of them, which is what is used, would want the same few lines of the cache. */
    STRIDE = DATAGRAM + 13 * 64,
    MAX_CHANNELS = 16384,  /* of one flow: as many as there are numbers */
    MAX_SEGMENTED = 65000, /* bytes of one send */
    MAX_REFUSALS = 8       /* sends in segments that fail in a row before they are given up */
};

/* A token bucket; bandwidth.py has the same in Python. */

enum { MAX_BUCKETS = 4 }; /* of one flow */

typedef struct {
    PyObject_HEAD
    double rate, size, left, filled_at;
} Bucket;

static int bucket_has(Bucket *bucket, double size, double now)
{
    if (now > bucket->filled_at) {
        double left = bucket->left + (now - bucket->filled_at) * bucket->rate;
        bucket->left = left < bucket->size ? left : bucket->size;
        bucket->filled_at = now;
    }
    return bucket->left >= size;
}

typedef struct {
    uint16_t number;
    int relayed_only; /* the peer is an address of ours: good for a flow here and nothing else */
    uint64_t peer;
    struct sockaddr_in address;
    double expires_at;
} Channel;

typedef struct {
    int port;     /* of the relay: its name */
    int fd;       /* of the relay, or -1: everything for this flow is Python's */
    uint64_t client, relayed;
    struct sockaddr_in address; /* the client's */
    Channel *channels;
    int count, room;
    Bucket *buckets[MAX_BUCKETS]; /* references of ours */
    int bucket_count;
} Flow;

/* Take from all buckets of a flow, or from none and say so. */
static int may_pass(Flow *flow, size_t size, double now)
{
    for (int i = 0; i < flow->bucket_count; i++)
        if (!bucket_has(flow->buckets[i], (double)size, now))
            return 0;
    for (int i = 0; i < flow->bucket_count; i++)
        flow->buckets[i]->left -= (double)size;
    return 1;
}

/* Flows by a 64-bit key: open addressing, at most half full. */

typedef struct {
    uint64_t *keys; /* 0 is empty: no address has port 0 */
    Flow **flows;
    size_t size, count;
} Table;

static size_t slot_of(const Table *table, uint64_t key)
{
    uint64_t mixed = (key ^ key >> 29) * 0x9E3779B97F4A7C15ULL;
    return (size_t)(mixed >> 20) & (table->size - 1);
}

static Flow *table_find(const Table *table, uint64_t key)
{
    if (table->size == 0)
        return NULL;
    for (size_t slot = slot_of(table, key); table->keys[slot]; slot = (slot + 1) & (table->size - 1))
        if (table->keys[slot] == key)
            return table->flows[slot];
    return NULL;
}

static void table_put(Table *table, uint64_t key, Flow *flow)
{
    size_t slot = slot_of(table, key);
    while (table->keys[slot] && table->keys[slot] != key)
        slot = (slot + 1) & (table->size - 1);
    table->count += table->keys[slot] == 0;
    table->keys[slot] = key;
    table->flows[slot] = flow;
}

static int table_reserve(Table *table)
{
    if (table->size > 2 * (table->count + 1))
        return 0;
    Table larger = {.size = table->size ? table->size * 2 : 64};
    larger.keys = calloc(larger.size, sizeof *larger.keys);
    larger.flows = calloc(larger.size, sizeof *larger.flows);
    if (!larger.keys || !larger.flows) {
        free(larger.keys);
        free(larger.flows);
        return -1;
    }
    for (size_t slot = 0; slot < table->size; slot++)
        if (table->keys[slot])
            table_put(&larger, table->keys[slot], table->flows[slot]);
    free(table->keys);
    free(table->flows);
    *table = larger;
    return 0;
}

static void table_remove(Table *table, uint64_t key)
{
    if (table->size == 0)
        return;
    size_t mask = table->size - 1, hole = slot_of(table, key);
    while (table->keys[hole] && table->keys[hole] != key)
        hole = (hole + 1) & mask;
    if (!table->keys[hole])
        return;
    table->count--;
    for (size_t next = (hole + 1) & mask; table->keys[next]; next = (next + 1) & mask) {
        size_t wanted = slot_of(table, table->keys[next]);
        if (((next - wanted) & mask) >= ((next - hole) & mask)) { /* it may move to the hole */
            table->keys[hole] = table->keys[next];
            table->flows[hole] = table->flows[next];
            hole = next;
        }
    }
    table->keys[hole] = 0;
    table->flows[hole] = NULL;
}

/* The data plane. */

typedef struct {
    int fd;
    struct sockaddr_in to;
    char *data;
    size_t size;
} Outgoing;

typedef struct {
    PyObject_HEAD
    int listener, epoll;
    Table by_client, by_relayed, by_port;
    char *buffers; /* BATCH of them, a STRIDE apart */
    struct mmsghdr in[BATCH];
    struct iovec in_iov[BATCH];
    struct sockaddr_in in_from[BATCH];
    Outgoing out[BATCH];
    int out_count;
    int segments; /* whether the kernel takes several datagrams of one size at once */
    int refusals;
    double now; /* of the last run */
    uint64_t to_peer, to_peer_bytes, to_client, to_client_bytes, inside, failed, over;
    PyTypeObject *bucket_type;
} DataPlane;

static uint64_t key_of(const struct sockaddr_in *address)
{
    return (uint64_t)address->sin_addr.s_addr << 16 | address->sin_port;
}

static Channel *channel_by_number(const Flow *flow, unsigned number)
{
    for (int i = 0; i < flow->count; i++)
        if (flow->channels[i].number == number)
            return &flow->channels[i];
    return NULL;
}

static Channel *channel_by_peer(const Flow *flow, uint64_t peer)
{
    for (int i = 0; i < flow->count; i++)
        if (flow->channels[i].peer == peer)
            return &flow->channels[i];
    return NULL;
}

/* A relay keeps ICMP messages about what it sent (IP_RECVERR), for Python to read.  Each fails the
 * next call on the socket once, whomever that is for: it is made again then. */
static const int reported[] = { /* as REPORTED in io_icmp.py, which a test compares */
    ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, ENOPROTOOPT, EOPNOTSUPP,
    EPROTO, EMSGSIZE, EACCES, EHOSTDOWN,
};
enum { REPORTED = sizeof reported / sizeof *reported };

static int is_report(int error)
{
    for (int i = 0; i < REPORTED; i++)
        if (reported[i] == error)
            return 1;
    return 0;
}

static ssize_t send_message(int fd, const struct msghdr *message)
{
    ssize_t sent = sendmsg(fd, message, MSG_DONTWAIT);
    return sent < 0 && is_report(errno) ? sendmsg(fd, message, MSG_DONTWAIT) : sent;
}

static void send_one(DataPlane *self, const Outgoing *out)
{
    struct iovec part = {out->data, out->size};
    struct msghdr message = {
        .msg_name = (void *)&out->to,
        .msg_namelen = sizeof out->to,
        .msg_iov = &part,
        .msg_iovlen = 1,
    };
    if (send_message(out->fd, &message) < 0)
        self->failed++; /* the network does not take it: a relay does not queue */
}

/* Send a run to one address by one call; all are as long as the first, the last may be shorter. */
static void send_segments(DataPlane *self, const Outgoing *out, int count)
{
    struct iovec parts[BATCH];
    char control[CMSG_SPACE(sizeof(uint16_t))] = {0};
    for (int i = 0; i < count; i++)
        parts[i] = (struct iovec){out[i].data, out[i].size};
    struct msghdr message = {
        .msg_name = (void *)&out->to,
        .msg_namelen = sizeof out->to,
        .msg_iov = parts,
        .msg_iovlen = (size_t)count,
        .msg_control = control,
        .msg_controllen = sizeof control,
    };
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    uint16_t size = (uint16_t)out->size;
    header->cmsg_level = SOL_UDP;
    header->cmsg_type = UDP_SEGMENT;
    header->cmsg_len = CMSG_LEN(sizeof size);
    memcpy(CMSG_DATA(header), &size, sizeof size);
    if (send_message(out->fd, &message) >= 0) {
        self->refusals = 0;
        return;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS) {
        self->failed += (uint64_t)count;
        return;
    }
    /* An old kernel, or an interface that cannot: one by one, and after some tries for good. */
    if (++self->refusals >= MAX_REFUSALS)
        self->segments = 0;
    for (int i = 0; i < count; i++)
        send_one(self, &out[i]);
}

/* Send what waits.  What goes to one address goes together, in its order, however mixed with that
 * of others it came. */
static void flush(DataPlane *self)
{
    Outgoing run[BATCH];
    for (int first = 0; first < self->out_count; first++) {
        if (!self->out[first].data)
            continue; /* gone with an earlier one */
        run[0] = self->out[first];
        int count = 1;
        size_t bytes = run[0].size;
        for (int i = first + 1; self->segments && i < self->out_count && run[0].size > 0; i++) {
            Outgoing *next = &self->out[i];
            if (!next->data || next->fd != run[0].fd || key_of(&next->to) != key_of(&run[0].to))
                continue;
            if (next->size > run[0].size || next->size == 0 || bytes + next->size > MAX_SEGMENTED)
                break;
            run[count++] = *next;
            bytes += next->size;
            next->data = NULL;
            if (next->size < run[0].size)
                break;
        }
        if (count == 1)
            send_one(self, &run[0]);
        else
            send_segments(self, run, count);
    }
    self->out_count = 0;
}

static void queue(DataPlane *self, int fd, const struct sockaddr_in *to, char *data, size_t size)
{
    self->out[self->out_count++] = (Outgoing){fd, *to, data, size}; /* at most one a datagram read */
}

/* Put a payload into a client's channel; there is room for the header in front of it. */
static void queue_channel_data(DataPlane *self, const Flow *flow, const Channel *channel,
                               char *payload, size_t size)
{
    uint16_t header[2] = {htons(channel->number), htons((uint16_t)size)};
    memcpy(payload - HEADROOM, header, HEADROOM);
    self->to_client++;
    self->to_client_bytes += size;
    queue(self, self->listener, &flow->address, payload - HEADROOM, HEADROOM + size);
}

/* Pass on what a client sent; return 0 if Python has to look at it. */
static int from_client(DataPlane *self, char *data, size_t size, const struct sockaddr_in *source,
                       double now)
{
    if (size < 4 || ((unsigned char)data[0] & 0xC0) != 0x40)
        return 0;
    Flow *flow = table_find(&self->by_client, key_of(source));
    if (!flow)
        return 0;
    unsigned number = (unsigned)(unsigned char)data[0] << 8 | (unsigned char)data[1];
    size_t length = (size_t)(unsigned char)data[2] << 8 | (unsigned char)data[3];
    const Channel *channel = channel_by_number(flow, number);
    if (!channel || channel->expires_at <= now || length > size - 4)
        return 0;
    Flow *target = table_find(&self->by_relayed, channel->peer);
    if (target) {
        const Channel *theirs = channel_by_peer(target, flow->relayed);
        if (target->fd < 0 || !theirs || theirs->expires_at <= now)
            return 0;
        if (!may_pass(flow, length, now)) {
            self->over++;
            return 1;
        }
        self->inside++;
        self->to_peer++;
        self->to_peer_bytes += length;
        if (!may_pass(target, length, now)) {
            self->over++;
            return 1;
        }
        queue_channel_data(self, target, theirs, data + 4, length);
        return 1;
    }
    if (channel->relayed_only)
        return 0;
    if (!may_pass(flow, length, now)) {
        self->over++;
        return 1;
    }
    self->to_peer++;
    self->to_peer_bytes += length;
    queue(self, flow->fd, &channel->address, data + 4, length);
    return 1;
}

/* Pass on what a peer sent; return 0 if Python has to look at it. */
static int from_peer(DataPlane *self, Flow *flow, char *data, size_t size,
                     const struct sockaddr_in *source, double now)
{
    const Channel *channel = channel_by_peer(flow, key_of(source));
    if (!channel || channel->expires_at <= now || channel->relayed_only || size > 0xFFFF)
        return 0;
    if (!may_pass(flow, size, now)) {
        self->over++;
        return 1;
    }
    queue_channel_data(self, flow, channel, data, size);
    return 1;
}

static int hand_over(PyObject *list, int port, const char *data, size_t size,
                     const struct sockaddr_in *source)
{
    char host[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, &source->sin_addr, host, sizeof host);
    PyObject *entry = Py_BuildValue("(iy#si)", port, data, (Py_ssize_t)size, host,
                                    (int)ntohs(source->sin_port));
    int failed = entry == NULL || PyList_Append(list, entry) < 0;
    Py_XDECREF(entry);
    return failed ? -1 : 0;
}

/* Read a socket once: the listener if `flow` is NULL, else that flow's relay.  Return whether there
 * may be more, or -1. */
static int read_socket(DataPlane *self, Flow *flow, double now, PyObject *list)
{
    int fd = flow ? flow->fd : self->listener;
    int came = recvmmsg(fd, self->in, BATCH, MSG_DONTWAIT, NULL);
    if (came < 0 && is_report(errno))
        came = recvmmsg(fd, self->in, BATCH, MSG_DONTWAIT, NULL);
    if (came < 0) {
        self->failed += errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR;
        return 0;
    }
    int status = 0;
    for (int i = 0; i < came && status == 0; i++) {
        char *data = self->in_iov[i].iov_base;
        size_t size = self->in[i].msg_len;
        const struct sockaddr_in *source = &self->in_from[i];
        self->in[i].msg_hdr.msg_namelen = sizeof self->in_from[i]; /* for the next read */
        int passed = flow ? from_peer(self, flow, data, size, source, now)
                          : from_client(self, data, size, source, now);
        if (!passed)
            status = hand_over(list, flow ? flow->port : 0, data, size, source);
    }
    flush(self);
    return status < 0 ? -1 : came == BATCH;
}

/* What Python calls. */

static int read_address(const char *host, int port, struct sockaddr_in *address)
{
    memset(address, 0, sizeof *address);
    address->sin_family = AF_INET;
    address->sin_port = htons((uint16_t)port);
    if (port <= 0 || port > 0xFFFF || inet_pton(AF_INET, host, &address->sin_addr) != 1) {
        PyErr_Format(PyExc_ValueError, "no IPv4 address: %s port %d", host, port);
        return -1;
    }
    return 0;
}

static void flow_free(Flow *flow)
{
    for (int i = 0; i < flow->bucket_count; i++)
        Py_DECREF(flow->buckets[i]);
    free(flow->channels);
    free(flow);
}

static PyType_Spec bucket_spec; /* below */

static int DataPlane_init(DataPlane *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"listener", NULL};
    int listener;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "i", names, &listener))
        return -1;
    if (self->buffers) {
        PyErr_SetString(PyExc_RuntimeError, "a data plane is made once");
        return -1;
    }
    self->bucket_type = (PyTypeObject *)PyType_FromSpec(&bucket_spec);
    if (!self->bucket_type)
        return -1;
    self->listener = listener;
    self->segments = 1;
    self->buffers = malloc((size_t)BATCH * STRIDE);
    if (!self->buffers) {
        PyErr_NoMemory();
        return -1;
    }
    for (int i = 0; i < BATCH; i++) {
        self->in_iov[i].iov_base = self->buffers + (size_t)i * STRIDE + HEADROOM;
        self->in_iov[i].iov_len = DATAGRAM;
        self->in[i].msg_hdr = (struct msghdr){
            .msg_name = &self->in_from[i],
            .msg_namelen = sizeof self->in_from[i],
            .msg_iov = &self->in_iov[i],
            .msg_iovlen = 1,
        };
    }
    self->epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (self->epoll < 0 || epoll_ctl(self->epoll, EPOLL_CTL_ADD, listener, &event) < 0) {
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    return 0;
}

static PyObject *DataPlane_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    (void)args, (void)kwargs;
    DataPlane *self = (DataPlane *)type->tp_alloc(type, 0);
    if (self)
        self->epoll = -1;
    return (PyObject *)self;
}

static void release(DataPlane *self)
{
    if (self->epoll >= 0)
        close(self->epoll);
    self->epoll = -1;
    for (size_t slot = 0; slot < self->by_port.size; slot++)
        if (self->by_port.keys[slot])
            flow_free(self->by_port.flows[slot]);
    Table *tables[] = {&self->by_client, &self->by_relayed, &self->by_port};
    for (int i = 0; i < 3; i++) {
        free(tables[i]->keys);
        free(tables[i]->flows);
        *tables[i] = (Table){0};
    }
}

static void DataPlane_dealloc(DataPlane *self)
{
    release(self);
    free(self->buffers);
    Py_CLEAR(self->bucket_type);
    PyTypeObject *type = Py_TYPE(self);
    type->tp_free((PyObject *)self);
    Py_DECREF(type);
}

static PyObject *DataPlane_close(DataPlane *self, PyObject *unused)
{
    (void)unused;
    release(self);
    Py_RETURN_NONE;
}

static PyObject *DataPlane_fileno(DataPlane *self, PyObject *unused)
{
    (void)unused;
    return PyLong_FromLong(self->epoll);
}

static PyObject *DataPlane_open_flow(DataPlane *self, PyObject *args)
{
    int port, fd, client_port, relayed_port;
    const char *client_host, *relayed_host;
    struct sockaddr_in client, relayed;
    PyObject *buckets = NULL;
    if (!PyArg_ParseTuple(args, "ii(si)(si)|O!", &port, &fd, &client_host, &client_port,
                          &relayed_host, &relayed_port, &PyTuple_Type, &buckets))
        return NULL;
    Py_ssize_t bucket_count = buckets ? PyTuple_GET_SIZE(buckets) : 0;
    for (Py_ssize_t i = 0; i < bucket_count; i++)
        if (bucket_count > MAX_BUCKETS
            || !PyObject_TypeCheck(PyTuple_GET_ITEM(buckets, i), self->bucket_type)) {
            PyErr_SetString(PyExc_TypeError, "buckets: expected at most 4 of make_bucket()");
            return NULL;
        }
    if (read_address(client_host, client_port, &client) < 0
        || read_address(relayed_host, relayed_port, &relayed) < 0)
        return NULL;
    if (self->epoll < 0 || port <= 0 || table_find(&self->by_port, (uint64_t)port)) {
        PyErr_Format(PyExc_ValueError, "relay %d cannot be opened: closed, or there already", port);
        return NULL;
    }
    if (table_reserve(&self->by_client) < 0 || table_reserve(&self->by_relayed) < 0
        || table_reserve(&self->by_port) < 0)
        return PyErr_NoMemory();
    Flow *flow = calloc(1, sizeof *flow);
    if (!flow)
        return PyErr_NoMemory();
    *flow = (Flow){.port = port, .fd = fd, .address = client};
    flow->client = key_of(&client);
    flow->relayed = key_of(&relayed);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = flow};
    if (fd >= 0 && epoll_ctl(self->epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
        flow_free(flow);
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    for (Py_ssize_t i = 0; i < bucket_count; i++)
        flow->buckets[flow->bucket_count++] = (Bucket *)Py_NewRef(PyTuple_GET_ITEM(buckets, i));
    table_put(&self->by_port, (uint64_t)port, flow);
    table_put(&self->by_relayed, flow->relayed, flow);
    if (fd >= 0) /* a connection's client may have the same address as a UDP one */
        table_put(&self->by_client, flow->client, flow);
    Py_RETURN_NONE;
}

static PyObject *DataPlane_close_flow(DataPlane *self, PyObject *argument)
{
    long port = PyLong_AsLong(argument);
    if (port == -1 && PyErr_Occurred())
        return NULL;
    Flow *flow = port > 0 ? table_find(&self->by_port, (uint64_t)port) : NULL;
    if (flow) {
        if (flow->fd >= 0) {
            epoll_ctl(self->epoll, EPOLL_CTL_DEL, flow->fd, NULL);
            table_remove(&self->by_client, flow->client);
        }
        table_remove(&self->by_relayed, flow->relayed);
        table_remove(&self->by_port, (uint64_t)port);
        flow_free(flow);
    }
    Py_RETURN_NONE;
}

static PyObject *DataPlane_set_channel(DataPlane *self, PyObject *args)
{
    int port, number, peer_port, relayed_only;
    const char *peer_host;
    double expires_at;
    struct sockaddr_in peer;
    if (!PyArg_ParseTuple(args, "ii(si)dp", &port, &number, &peer_host, &peer_port, &expires_at,
                          &relayed_only))
        return NULL;
    if (read_address(peer_host, peer_port, &peer) < 0)
        return NULL;
    Flow *flow = port > 0 ? table_find(&self->by_port, (uint64_t)port) : NULL;
    if (!flow || number < 0x4000 || number > 0x7FFF) {
        PyErr_Format(PyExc_ValueError, "no channel %d on relay %d", number, port);
        return NULL;
    }
    uint64_t key = key_of(&peer);
    /* Neither number nor peer has two channels, and those that have ended go: nobody says so. */
    for (int i = 0; i < flow->count;) {
        const Channel *old = &flow->channels[i];
        if (old->number == number || old->peer == key || old->expires_at <= self->now)
            flow->channels[i] = flow->channels[--flow->count];
        else
            i++;
    }
    if (flow->count == flow->room) {
        int room = flow->room ? flow->room * 2 : 2;
        Channel *larger = room > MAX_CHANNELS
                              ? NULL
                              : realloc(flow->channels, (size_t)room * sizeof *larger);
        if (!larger)
            return PyErr_NoMemory();
        flow->channels = larger;
        flow->room = room;
    }
    flow->channels[flow->count++] = (Channel){
        .number = (uint16_t)number,
        .relayed_only = relayed_only,
        .peer = key,
        .address = peer,
        .expires_at = expires_at,
    };
    Py_RETURN_NONE;
}

static PyObject *DataPlane_run(DataPlane *self, PyObject *argument)
{
    double now = PyFloat_AsDouble(argument);
    if (now == -1.0 && PyErr_Occurred())
        return NULL;
    self->now = now;
    PyObject *list = PyList_New(0);
    if (!list)
        return NULL;
    if (self->epoll < 0)
        return list;
    struct epoll_event events[EVENTS];
    int count = epoll_wait(self->epoll, events, EVENTS, 0);
    for (int i = 0; i < count; i++) {
        int more = 1;
        for (int reads = 0; more > 0 && reads < READS; reads++)
            more = read_socket(self, events[i].data.ptr, now, list);
        if (more < 0) {
            Py_DECREF(list);
            return NULL;
        }
    }
    return list;
}

static PyObject *DataPlane_take_counts(DataPlane *self, PyObject *unused)
{
    (void)unused;
    PyObject *counts = Py_BuildValue("(KKKKKKK)", self->to_peer, self->to_peer_bytes,
                                     self->to_client, self->to_client_bytes, self->inside,
                                     self->failed, self->over);
    if (counts)
        self->to_peer = self->to_peer_bytes = self->to_client = self->to_client_bytes
            = self->inside = self->failed = self->over = 0;
    return counts;
}

static PyObject *Bucket_has(Bucket *self, PyObject *args)
{
    double size, now;
    if (!PyArg_ParseTuple(args, "dd", &size, &now))
        return NULL;
    return PyBool_FromLong(bucket_has(self, size, now));
}

static PyObject *Bucket_take(Bucket *self, PyObject *argument)
{
    double size = PyFloat_AsDouble(argument);
    if (size == -1.0 && PyErr_Occurred())
        return NULL;
    self->left -= size;
    Py_RETURN_NONE;
}

static void Bucket_dealloc(Bucket *self)
{
    PyTypeObject *type = Py_TYPE(self);
    type->tp_free((PyObject *)self);
    Py_DECREF(type);
}

static PyMethodDef bucket_methods[] = {
    {"has", (PyCFunction)Bucket_has, METH_VARARGS, "has(size, now): whether there are so many."},
    {"take", (PyCFunction)Bucket_take, METH_O, "take(size): take them; the caller has asked."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot bucket_slots[] = {
    {Py_tp_doc, "A token bucket that a data plane and Python share."},
    {Py_tp_dealloc, Bucket_dealloc},
    {Py_tp_methods, bucket_methods},
    {0, NULL},
};

static PyType_Spec bucket_spec = {
    .name = "ringline.turn._relay.Bucket",
    .basicsize = sizeof(Bucket),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = bucket_slots,
};

static PyObject *DataPlane_make_bucket(DataPlane *self, PyObject *args)
{
    double rate, size;
    if (!PyArg_ParseTuple(args, "dd", &rate, &size))
        return NULL;
    Bucket *bucket = (Bucket *)self->bucket_type->tp_alloc(self->bucket_type, 0);
    if (bucket) {
        bucket->rate = rate;
        bucket->size = bucket->left = size;
        bucket->filled_at = -HUGE_VAL;
    }
    return (PyObject *)bucket;
}

static PyMethodDef methods[] = {
    {"fileno", (PyCFunction)DataPlane_fileno, METH_NOARGS,
     "Return a descriptor that is readable when run() has something to do."},
    {"open_flow", (PyCFunction)DataPlane_open_flow, METH_VARARGS,
     "open_flow(relay_port, fd, client, relayed, buckets=()): take over a relay socket; fd -1 takes\n"
     "none, and leaves everything for that relay to Python."},
    {"make_bucket", (PyCFunction)DataPlane_make_bucket, METH_VARARGS,
     "make_bucket(rate, size): a full token bucket that limits flows, and can be asked by Python."},
    {"close_flow", (PyCFunction)DataPlane_close_flow, METH_O,
     "close_flow(relay_port): let go of it; call before the socket is closed."},
    {"set_channel", (PyCFunction)DataPlane_set_channel, METH_VARARGS,
     "set_channel(relay_port, number, peer, expires_at, relayed_only): bind, or bind longer."},
    {"run", (PyCFunction)DataPlane_run, METH_O,
     "run(now): read what has come, pass on what may pass; return the rest as tuples\n"
     "(relay_port or 0, data, host, port)."},
    {"take_counts", (PyCFunction)DataPlane_take_counts, METH_NOARGS,
     "Return what was counted since the last call: to peers, their bytes, to clients, their bytes,\n"
     "inside the server, failed, over the bandwidth."},
    {"close", (PyCFunction)DataPlane_close, METH_NOARGS, "Let go of everything."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "Passes datagrams between clients and peers.  DataPlane(listener)"},
    {Py_tp_new, DataPlane_new},
    {Py_tp_init, DataPlane_init},
    {Py_tp_dealloc, DataPlane_dealloc},
    {Py_tp_methods, methods},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "ringline.turn._relay.DataPlane",
    .basicsize = sizeof(DataPlane),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = slots,
};

static int exec_module(PyObject *module)
{
    PyObject *type = PyType_FromSpec(&spec);
    if (!type)
        return -1;
    int status = PyModule_AddObjectRef(module, "DataPlane", type);
    Py_DECREF(type);
    if (status < 0 || PyModule_AddIntConstant(module, "INTERFACE", INTERFACE) < 0)
        return -1;
    PyObject *errors = PyTuple_New(REPORTED);
    for (int i = 0; errors && i < REPORTED; i++) {
        PyObject *number = PyLong_FromLong(reported[i]);
        if (number)
            PyTuple_SET_ITEM(errors, i, number);
        else
            Py_CLEAR(errors);
    }
    if (!errors)
        return -1;
    status = PyModule_AddObjectRef(module, "REPORTED", errors);
    Py_DECREF(errors);
    return status;
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, exec_module}, {0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_relay",
    .m_doc = "The compiled data plane of the TURN server.",
    .m_slots = module_slots,
};

PyMODINIT_FUNC PyInit__relay(void)
{
    return PyModuleDef_Init(&definition);
}
