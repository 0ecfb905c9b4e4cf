//! Requests that are sent many at once, and answers for which the client never sleeps: so the server is woken once for
//! many requests, and wakes nobody. What the kernel and the machine take for that differs from machine to machine, and
//! grows with the time that a check takes; it is no part of the check.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use crate::load::Requests;
use crate::run::settle;
use crate::server::Server;

/// How many requests are sent at once.
const BATCH: usize = 64;
/// A batch that takes longer is an error.
const PATIENCE: Duration = Duration::from_secs(10);
/// A warm-up of one part in this many of a slice is not counted.
const WARM_UP: u32 = 10;

/// Runs a slice of load. Returns how many requests it had, and the nanoseconds of CPU that the server spent on them.
/// `next` counts on from slice to slice. All answers must have the same length.
pub(crate) fn measure(
    server: &Server,
    requests: &Requests,
    next: &mut usize,
    time: Duration,
) -> Result<(u64, u64)> {
    let mut connection = TcpStream::connect(("127.0.0.1", server.place.port))?;
    connection.set_nodelay(true)?;
    connection.set_nonblocking(true)?;
    run(&mut connection, requests, next, time / WARM_UP)?;
    settle();
    let before = server.cpu()?;
    let count = run(&mut connection, requests, next, time)?;
    settle();
    Ok((count, server.cpu()? - before))
}

fn run(
    connection: &mut TcpStream,
    requests: &Requests,
    next: &mut usize,
    time: Duration,
) -> Result<u64> {
    let (began, mut count) = (Instant::now(), 0);
    while count == 0 || began.elapsed() < time {
        batch(connection, requests, next)?;
        count += u64::try_from(BATCH)?;
    }
    Ok(count)
}

fn batch(connection: &mut TcpStream, requests: &Requests, next: &mut usize) -> Result<()> {
    let tails = requests.tails.iter().cycle().skip(*next % requests.tails.len().max(1));
    let parts = tails.take(BATCH).flat_map(|tail| [&*requests.head, tail, b"\r\n"]);
    let text: Vec<u8> = parts.flatten().copied().collect();
    *next += BATCH;
    let began = Instant::now();
    let (mut sent, mut answers) = (0, Vec::with_capacity(BATCH * 512));
    let mut buffer = [0; 16 << 10];
    // The end of the last answer is not looked for: the first one says how long each of them is.
    while answers.is_empty() || answers.len() < BATCH * length(&answers)? {
        ensure!(began.elapsed() < PATIENCE, "no answers within {PATIENCE:?}");
        let rest = text.get(sent..).unwrap_or_default();
        if !rest.is_empty() {
            match connection.write(rest) {
                Ok(written) => sent += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
        match connection.read(&mut buffer) {
            Ok(0) => bail!("the connection was closed"),
            Ok(read) => answers.extend_from_slice(buffer.get(..read).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
    }
    let each = length(&answers)?;
    let are_good = answers.chunks(each).all(|answer| answer.starts_with(b"HTTP/1.1 200 "));
    ensure!(are_good && answers.len() == BATCH * each, "not every answer is a good one");
    Ok(())
}

/// The length of the first answer; more than there is while its head is not whole.
fn length(answers: &[u8]) -> Result<usize> {
    let Some(end) = answers.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(answers.len().max(1) + 1);
    };
    let head = answers.get(..end + 4).unwrap_or_default();
    Ok(head.len() + crate::load::content_length(head)?)
}
