/* Threads that share the parts of a layer. They sleep in between. */
#include <pthread.h>
#include <signal.h>

typedef void part_fn(void *job, int64_t part, int64_t thread);

struct pool {
    pthread_mutex_t lock;
    pthread_cond_t begin, end;
    part_fn *fn;
    void *job;
    int64_t parts, next, round, busy, threads, started, stop;
    pthread_t ids[];
};

struct seat {
    struct pool *pool;
    int64_t thread;
};

static void take_parts(struct pool *pool, int64_t thread) {
    for (;;) {
        int64_t part = __atomic_fetch_add(&pool->next, 1, __ATOMIC_RELAXED);
        if (part >= pool->parts)
            return;
        pool->fn(pool->job, part, thread);
    }
}

static void *worker(void *given) {
    struct seat seat = *(struct seat *)given;
    struct pool *pool = seat.pool;
    int64_t seen = 0;
    free(given);
    pthread_mutex_lock(&pool->lock);
    for (;;) {
        while (pool->round == seen && !pool->stop)
            pthread_cond_wait(&pool->begin, &pool->lock);
        if (pool->stop)
            break;
        seen = pool->round;
        pthread_mutex_unlock(&pool->lock);
        take_parts(pool, seat.thread);
        pthread_mutex_lock(&pool->lock);
        if (--pool->busy == 0)
            pthread_cond_signal(&pool->end);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

/* Compute all parts; the caller takes its share. Not for two callers at once: library.py has a lock. */
static void run_parts(struct pool *pool, part_fn *fn, void *job, int64_t parts) {
    if (parts <= 1 || pool->started == 0) {
        for (int64_t part = 0; part < parts; part++)
            fn(job, part, 0);
        return;
    }
    pthread_mutex_lock(&pool->lock);
    pool->fn = fn, pool->job = job, pool->parts = parts, pool->next = 0;
    pool->busy = pool->started;
    pool->round++;
    pthread_cond_broadcast(&pool->begin);
    pthread_mutex_unlock(&pool->lock);
    take_parts(pool, 0);
    pthread_mutex_lock(&pool->lock);
    while (pool->busy)
        pthread_cond_wait(&pool->end, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
}

PUBLIC void winograd_close(struct pool *pool) {
    pthread_mutex_lock(&pool->lock);
    pool->stop = 1;
    pthread_cond_broadcast(&pool->begin);
    pthread_mutex_unlock(&pool->lock);
    for (int64_t i = 0; i < pool->started; i++)
        pthread_join(pool->ids[i], NULL);
    pthread_mutex_destroy(&pool->lock);
    pthread_cond_destroy(&pool->begin);
    pthread_cond_destroy(&pool->end);
    free(pool);
}

/* Start threads - 1 threads, or as many as the system allows. NULL: memory is short. */
PUBLIC struct pool *winograd_open(int64_t threads) {
    struct pool *pool = calloc(1, sizeof *pool + (size_t)threads * sizeof(pthread_t));
    if (!pool)
        return NULL;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->begin, NULL);
    pthread_cond_init(&pool->end, NULL);
    pool->threads = threads;
    sigset_t every, before; /* signals are for Python's own threads */
    sigfillset(&every);
    pthread_sigmask(SIG_SETMASK, &every, &before);
    for (int64_t i = 1; i < threads; i++) {
        struct seat *seat = malloc(sizeof *seat);
        if (!seat)
            break;
        seat->pool = pool, seat->thread = i;
        if (pthread_create(&pool->ids[pool->started], NULL, worker, seat)) {
            free(seat);
            break;
        }
        pool->started++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return pool;
}
