"use client";

import { useEffect, useState } from "react";
import { user } from "../../lib/users.js";

export default function Client() {
  const [answers, setAnswers] = useState();
  useEffect(() => {
    Promise.all(Array.from({ length: 20 }, () => user("ada"))).then(setAnswers);
  }, []);
  useEffect(() => {
    globalThis.answers = answers;
  }, [answers]);
  return <pre>{JSON.stringify(answers)}</pre>;
}
