//! Streams of HLS and DASH that ffmpeg makes, and plays from an nginx.
//!
//! ```text
//! let Some(ffmpeg) = Ffmpeg::find() else { return Ok(()) };
//! let port = free_port()?;
//! let nginx = Nginx::start(format!("listen 127.0.0.1:{port}; …"))?;
//! ffmpeg.make(Stream::HlsTs, &nginx.prefix().join("html/vod/a"))?;
//! let played = ffmpeg.play(&format!("http://127.0.0.1:{port}/vod/a/index.m3u8"))?;
//! assert!(played.is_whole());
//! ```

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

/// A kind of stream: three seconds of a picture with 64 times 64 points and a tone, in segments of one second.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stream {
    /// One playlist of MPEG-TS segments.
    HlsTs,
    /// One playlist of fragmented MP4, with its initialisation.
    HlsFmp4,
    /// One playlist of encrypted segments, and their key.
    HlsEncrypted,
    /// A playlist of playlists: two pictures and a sound of their own, in folders.
    HlsRenditions,
    /// An MPD with templates.
    DashTemplate,
    /// An MPD with lists of segments.
    DashList,
    /// An MPD with one file for each representation, named by its `BaseURL`.
    DashFiles,
}

impl Stream {
    /// All kinds.
    pub const ALL: [Self; 7] = [
        Self::HlsTs,
        Self::HlsFmp4,
        Self::HlsEncrypted,
        Self::HlsRenditions,
        Self::DashTemplate,
        Self::DashList,
        Self::DashFiles,
    ];

    /// The name of the first playlist.
    #[must_use]
    pub fn playlist(self) -> &'static str {
        match self {
            Self::HlsTs | Self::HlsFmp4 | Self::HlsEncrypted | Self::HlsRenditions => "index.m3u8",
            Self::DashTemplate | Self::DashList | Self::DashFiles => "index.mpd",
        }
    }

    /// What ffmpeg is told beside what to make the stream of. `keys` is a file that names the key.
    fn options(self, keys: &str) -> Vec<String> {
        let text = match self {
            Self::HlsTs => "-f hls -hls_time 1 -hls_playlist_type vod",
            Self::HlsFmp4 => "-f hls -hls_time 1 -hls_playlist_type vod -hls_segment_type fmp4",
            Self::HlsEncrypted => {
                "-f hls -hls_time 1 -hls_playlist_type vod -hls_key_info_file KEYS"
            }
            Self::HlsRenditions => {
                "-f hls -hls_time 1 -hls_playlist_type vod -hls_segment_type fmp4 \
                 -hls_fmp4_init_filename init.mp4 -hls_segment_filename v%v/s%d.m4s -master_pl_name index.m3u8 \
                 -var_stream_map MAP"
            }
            Self::DashTemplate => "-f dash -seg_duration 1 -use_template 1 -use_timeline 1",
            Self::DashList => "-f dash -seg_duration 1 -use_template 0 -use_timeline 0",
            Self::DashFiles => {
                "-f dash -seg_duration 1 -use_template 0 -use_timeline 0 -single_file 1"
            }
        };
        let word = |word: &str| match word {
            "KEYS" => keys.to_owned(),
            "MAP" => "v:0,agroup:a v:1,agroup:a a:0,agroup:a,language:en".to_owned(),
            word => word.to_owned(),
        };
        let name = if self == Self::HlsRenditions { "v%v/index.m3u8" } else { self.playlist() };
        text.split_whitespace().map(word).chain([name.to_owned()]).collect()
    }
}

/// ffmpeg, which makes and plays streams.
#[derive(Clone, Debug)]
pub struct Ffmpeg(PathBuf);

/// What has become of a stream that was played.
#[derive(Debug)]
pub struct Played {
    /// Whether ffmpeg has read it to its end.
    pub ok: bool,
    /// What it complained of. That the query of a `BaseURL` is no entity is left out: it puts that into its tree
    /// of the document as it is, and plays on.
    pub complaints: String,
}

impl Played {
    /// Whether all of it was played, without a complaint.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.ok && self.complaints.is_empty()
    }
}

impl Ffmpeg {
    /// The program that `NGX_TEST_FFMPEG` names; none, with a printed note, where there is none.
    #[must_use]
    pub fn find() -> Option<Self> {
        let path = env::var_os("NGX_TEST_FFMPEG").filter(|path| !path.is_empty());
        if path.is_none() {
            println!("not run: there is no ffmpeg (NGX_TEST_FFMPEG)");
        }
        Some(Self(path?.into()))
    }

    /// Makes a stream in `folder`, which gets nothing else. The names of the files that are asked for when it is
    /// played, relative to the folder.
    ///
    /// # Errors
    /// When ffmpeg cannot make it; the message has what it said.
    pub fn make(&self, stream: Stream, folder: &Path) -> Result<BTreeSet<String>> {
        fs::create_dir_all(folder)?;
        // ffmpeg reads of this file what the key is called in the playlist, and where it is.
        let keys = folder.with_extension("keys");
        if stream == Stream::HlsEncrypted {
            fs::write(folder.join("key.bin"), "0123456789abcdef")?;
            fs::write(&keys, "key.bin\nkey.bin\n")?;
        }
        let several: &[&str] = match stream {
            Stream::HlsRenditions => &["-map", "0:v", "-map", "0:v", "-map", "1:a"],
            _ => &[],
        };
        let made = self
            .command()
            .current_dir(folder)
            .args(["-f", "lavfi", "-i", "testsrc=size=64x64:rate=10"])
            .args(["-f", "lavfi", "-i", "sine=frequency=440", "-t", "3"])
            .args(several)
            .args(["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"])
            .args(["-g", "10", "-keyint_min", "10", "-sc_threshold", "0", "-b:v", "50k"])
            .args(["-c:a", "aac", "-b:a", "32k"])
            .args(stream.options(&keys.to_string_lossy()))
            .output()
            .context("running ffmpeg")?;
        let said = String::from_utf8_lossy(&made.stderr);
        ensure!(made.status.success(), "ffmpeg makes no {stream:?}: {said}");
        if stream == Stream::DashFiles {
            let mpd = fs::read_to_string(folder.join("index.mpd"))?;
            fs::write(folder.join("index.mpd"), without_lists(&mpd))?;
        }
        let mut names = BTreeSet::new();
        list(folder, folder, &mut names)?;
        if stream == Stream::DashList {
            // ffmpeg takes the number of the first segment for a place in the list when it plays.
            names.retain(|name| !name.ends_with("-00001.m4s"));
        }
        ensure!(names.contains(stream.playlist()) && names.len() > 2, "{stream:?} is {names:?}");
        Ok(names)
    }

    /// Plays all parts of the stream at a URL, to its end.
    ///
    /// # Errors
    /// When ffmpeg cannot be run.
    pub fn play(&self, url: &str) -> Result<Played> {
        self.play_with(&[], url)
    }

    /// The same, with options of ffmpeg's for what it asks for.
    ///
    /// # Errors
    /// As [`Ffmpeg::play`].
    pub fn play_with(&self, options: &[String], url: &str) -> Result<Played> {
        let played = self
            .command()
            .args(options)
            .args(["-i", url, "-map", "0", "-f", "null", "-"])
            .output()
            .context("running ffmpeg")?;
        let said = String::from_utf8_lossy(&played.stderr);
        let counts = |line: &&str| !line.contains("error : unterminated entity reference");
        let complaints = said.lines().filter(counts).collect::<Vec<_>>().join("\n");
        Ok(Played { ok: played.status.success(), complaints })
    }

    /// ffmpeg, which is ended after two minutes: some streams it plays for ever.
    fn command(&self) -> Command {
        let mut command = Command::new("timeout");
        command.arg("120").arg(&self.0);
        command.args(["-nostdin", "-v", "error", "-y"]);
        command.env_remove("http_proxy").env_remove("https_proxy");
        command
    }
}

/// An MPD without its lists of ranges, which ffmpeg writes but does not play: what is left is one file for each
/// representation.
fn without_lists(mpd: &str) -> String {
    let mut parts = mpd.split("<SegmentList");
    let mut kept = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        kept.push_str(part.split_once("</SegmentList>").map_or("", |(_, rest)| rest));
    }
    kept
}

/// Adds the names of all files in a folder, relative to `root`.
fn list(root: &Path, folder: &Path, names: &mut BTreeSet<String>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            list(root, &path, names)?;
        } else {
            names.insert(path.strip_prefix(root)?.to_string_lossy().into_owned());
        }
    }
    Ok(())
}

/// A port of this machine at which nobody listens.
///
/// # Errors
/// When there is none.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
