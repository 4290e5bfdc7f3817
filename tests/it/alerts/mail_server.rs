//! A mail server of the tests: takes letters over SMTP, or answers the end of a letter with another code.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

pub struct MailServer {
    port: u16,
    letters: Arc<Mutex<Vec<String>>>,
}

impl MailServer {
    /// The first letters are answered with these lines in place of being taken; all others are taken.
    pub fn start(answers: &[&'static str]) -> MailServer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = MailServer { port: listener.local_addr().unwrap().port(), letters: Arc::default() };
        let (letters, answers) = (server.letters.clone(), Arc::new(Mutex::new(answers.to_vec())));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (letters, answers) = (letters.clone(), answers.clone());
                std::thread::spawn(move || serve(stream.unwrap(), &letters, &answers));
            }
        });
        server
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Every letter that came, taken or not.
    pub fn letters(&self) -> Vec<String> {
        self.letters.lock().unwrap().clone()
    }
}

fn serve(stream: TcpStream, letters: &Mutex<Vec<String>>, answers: &Mutex<Vec<&'static str>>) -> Option<()> {
    let mut say = stream.try_clone().ok()?;
    let mut lines = BufReader::new(stream).lines();
    say.write_all(b"220 mail.test ESMTP\r\n").ok()?;
    while let Some(Ok(line)) = lines.next() {
        let answer = match line.split(' ').next()?.to_ascii_uppercase().as_str() {
            "EHLO" | "HELO" => "250 mail.test",
            "DATA" => {
                say.write_all(b"354 go on\r\n").ok()?;
                let letter: Vec<String> = lines.by_ref().map_while(Result::ok).take_while(|line| line != ".").collect();
                letters.lock().unwrap().push(letter.join("\n"));
                let mut answers = answers.lock().unwrap();
                match if answers.is_empty() { "250 taken" } else { answers.remove(0) } {
                    // The answer is lost with the connection.
                    "" => return None,
                    answer => answer,
                }
            }
            "QUIT" => {
                let _ = say.write_all(b"221 bye\r\n");
                return None;
            }
            _ => "250 ok",
        };
        say.write_all(format!("{answer}\r\n").as_bytes()).ok()?;
    }
    None
}
